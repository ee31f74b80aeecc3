"""Records as rows, and reading them: a row that cannot be read costs no other."""

# ruff: noqa: S608 - the statements are put together from constants
from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from ..._records import Record
from .._base import Row, row_of
from .._batches import Found
from .._columns import read_record, sellers_column, to_micros

NEVER: Final = 2**63 - 1
"""``dies_at`` of a record that does not die by itself: after all others."""

COLUMNS: Final = "r.seller, r.sellers, r.due_at, r.dies_at, r.generation, r.revision, r.body"

GET: Final = f"""SELECT {COLUMNS}, r.id FROM sellers s JOIN records r ON r.id = s.record
    WHERE s.scope = :scope AND s.seller = :seller"""

GET_MANY: Final = f"""SELECT {COLUMNS}, s.seller FROM sellers s JOIN records r ON r.id = s.record
    WHERE s.scope = :scope AND s.seller IN (SELECT value FROM json_each(:sellers))"""

PAGE: Final = f"""SELECT {COLUMNS}, r.id FROM records r
    WHERE r.scope = :scope AND r.id > :after ORDER BY r.id LIMIT :limit"""


def get(db: sqlite3.Connection, scope: str, seller_id: str) -> Record | None:
    """The record that ``seller_id`` finds. Raises ``StoreError`` where it cannot be read."""
    found = find(db, scope, seller_id)
    return found[0] if found else None


def get_many(db: sqlite3.Connection, scope: str, seller_ids: Sequence[str]) -> list[Found]:
    """What each of some sellers finds."""
    rows = db.execute(GET_MANY, {"scope": scope, "sellers": sellers_column(seller_ids)})
    found = {row[-1]: row_of(record_of, scope, row) for row in rows}
    return [found.get(seller_id.encode()) for seller_id in seller_ids]


def find(db: sqlite3.Connection, scope: str, seller_id: str) -> tuple[Record, int] | None:
    """The record that ``seller_id`` finds, and the key of its row."""
    row = db.execute(GET, {"scope": scope, "seller": seller_id}).fetchone()
    return (record_of(scope, row), row[-1]) if row else None


def by_id(db: sqlite3.Connection, scope: str, keys: Sequence[int]) -> list[Row]:
    """The rows with some keys, which are known to be there, in the order of the keys."""
    rows = db.execute(f"SELECT {COLUMNS}, r.id FROM records r WHERE {among(keys)}").fetchall()
    found = {row[-1]: row_of(record_of, scope, row) for row in rows}
    return [found[key] for key in keys]


def among(keys: Sequence[int]) -> str:
    """The condition that a row has one of the keys."""
    return f"id IN ({','.join(map(str, keys))})"


def page(
    db: sqlite3.Connection, scope: str, after: int, limit: int
) -> tuple[list[Row], int | None]:
    """Rows of a scope, and what to give as ``after`` for the next; ``None`` after the last."""
    rows = db.execute(PAGE, {"scope": scope, "after": after, "limit": limit}).fetchall()
    return [row_of(record_of, scope, row) for row in rows], rows[-1][-1] if len(
        rows
    ) == limit else None


def record_of(scope: str, row: Sequence[Any]) -> Record:
    """The record of a row that begins with the columns of one."""
    seller, sellers, due_at, dies_at, generation, revision, body = row[:7]
    return read_record(
        scope=scope,
        seller=seller,
        sellers=sellers,
        due_at=due_at,
        dies_at=None if dies_at == NEVER else dies_at,
        generation=generation,
        revision=revision,
        body=body,
    )


def values(record: Record, release: str | None) -> dict[str, Any]:
    """The record as the parameters of a statement; ``release`` goes with it."""
    return {
        "scope": record.scope,
        "seller": record.seller_id,
        "sellers": sellers_column(record.seller_ids),
        "due_at": None if record.due_at is None else to_micros(record.due_at),
        "dies_at": NEVER if record.dies_at is None else to_micros(record.dies_at),
        "generation": record.generation,
        "revision": record.revision,
        "release": release,
        "body": record.body,
    }
