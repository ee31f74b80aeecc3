"""Records as rows, and reading them."""

# ruff: noqa: S608 - the statements are put together from constants
from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from ..._records import Record
from .._times import from_micros, to_micros

NEVER: Final = 2**63 - 1
"""``dies_at`` of a record that does not die by itself: after all others."""

COLUMNS: Final = (
    "r.scope, r.seller, r.sellers, r.due_at, r.dies_at, r.generation, r.revision, r.body"
)

GET: Final = f"""SELECT {COLUMNS}, r.id FROM sellers s JOIN records r ON r.id = s.record
    WHERE s.scope = :scope AND s.seller = :seller"""

PAGE: Final = f"""SELECT {COLUMNS}, r.id FROM records r
    WHERE r.scope = :scope AND r.id > :after ORDER BY r.id LIMIT :limit"""


def get(db: sqlite3.Connection, scope: str, seller: str) -> Record | None:
    """The record that ``seller`` finds."""
    found = find(db, scope, seller)
    return found[0] if found else None


def find(db: sqlite3.Connection, scope: str, seller: str) -> tuple[Record, int] | None:
    """The record that ``seller`` finds, and the key of its row."""
    row = db.execute(GET, {"scope": scope, "seller": seller}).fetchone()
    return (_record_of(row), row[-1]) if row else None


def by_id(db: sqlite3.Connection, keys: Sequence[int]) -> list[Record]:
    """The records in rows that are known to be there, in the order of the keys."""
    rows = db.execute(f"SELECT {COLUMNS}, r.id FROM records r WHERE {among(keys)}").fetchall()
    found = {row[-1]: _record_of(row) for row in rows}
    return [found[key] for key in keys]


def among(keys: Sequence[int]) -> str:
    """The condition that a row has one of the keys."""
    return f"id IN ({','.join(map(str, keys))})"


def page(
    db: sqlite3.Connection, scope: str, after: int, limit: int
) -> tuple[list[Record], int | None]:
    """Records of a scope, and what to give as ``after`` for the next; ``None`` after the last."""
    rows = db.execute(PAGE, {"scope": scope, "after": after, "limit": limit}).fetchall()
    return [_record_of(row) for row in rows], rows[-1][-1] if len(rows) == limit else None


def _record_of(row: Sequence[Any]) -> Record:
    """The record of a row that begins with the columns of one."""
    scope, seller, sellers, due_at, dies_at, generation, revision, body = row[:8]
    return Record(
        scope=scope,
        seller=seller,
        sellers=tuple(json.loads(sellers)),
        due_at=None if due_at is None else from_micros(due_at),
        dies_at=None if dies_at == NEVER else from_micros(dies_at),
        generation=generation,
        revision=revision,
        body=body,
    )


def values(record: Record, release: str | None) -> dict[str, Any]:
    """The record as the parameters of a statement; ``release`` goes with it."""
    return {
        "scope": record.scope,
        "seller": record.seller,
        "sellers": as_json(record.sellers),
        "due_at": None if record.due_at is None else to_micros(record.due_at),
        "dies_at": NEVER if record.dies_at is None else to_micros(record.dies_at),
        "generation": record.generation,
        "revision": record.revision,
        "release": release,
        "body": record.body,
    }


def as_json(sellers: Sequence[str]) -> str:
    """Sellers as one column."""
    return json.dumps(sellers, ensure_ascii=False)
