"""Records as rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, Final

from ..._records import Record
from .._times import from_micros, to_micros

NEVER: Final = 2**63 - 1
"""``due_at`` and ``dies_at`` of a record that does not fall due or die: after all others."""


def scope_key(scope: str) -> bytes:
    """What a scope is found by."""
    return sha256(as_bytes(scope)).digest()


def seller_key(scope: str, seller: str) -> bytes:
    """What a seller of a scope is found by."""
    return sha256(as_bytes(f"{scope}\0{seller}")).digest()  # no name that is kept holds a NUL


def as_bytes(text: str) -> bytes:
    """Text as a column; what is no text is asked for in vain, and not refused."""
    return text.encode(errors="surrogatepass")


def seller_keys(scope: str, sellers: Iterable[str]) -> list[bytes]:
    """What sellers of a scope are found by."""
    return [seller_key(scope, seller) for seller in sellers]


def record_of(scope: str, row: Any) -> Record:
    """The record in a row."""
    return Record(
        scope=scope,
        seller=row.seller.decode(),
        sellers=tuple(json.loads(row.sellers)),
        due_at=_moment(row.due_at),
        dies_at=_moment(row.dies_at),
        generation=row.generation,
        revision=row.revision,
        body=row.body,
    )


def _moment(micros: int) -> Any:
    return None if micros == NEVER else from_micros(micros)


def names_of(record: Record) -> dict[str, Any]:
    """Whose record it is, as columns."""
    return {
        "scope_key": scope_key(record.scope),
        "scope": record.scope.encode(),
        **filing_of(record.scope, record.seller, record.sellers),
    }


def filing_of(scope: str, seller: str, sellers: Sequence[str]) -> dict[str, Any]:
    """What a record is filed under, as columns."""
    return {
        "seller_key": seller_key(scope, seller),
        "seller": seller.encode(),
        "sellers": json.dumps(sellers, ensure_ascii=False).encode(),
    }


def facts_of(record: Record) -> dict[str, Any]:
    """What a write changes in a record, but for its revision and its lease, as columns."""
    return {
        "due_at": NEVER if record.due_at is None else to_micros(record.due_at),
        "dies_at": NEVER if record.dies_at is None else to_micros(record.dies_at),
        "generation": record.generation,
        "body": record.body,
    }
