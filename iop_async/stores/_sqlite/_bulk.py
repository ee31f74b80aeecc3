"""Writing many records within one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from ..._records import Record
from ..._values import changed
from .._base import row_of
from .._batches import Outcome
from .._columns import sellers_column
from . import _rows, _writes

BATCH_MAX: Final = 1_000
"""Records in one transaction: few enough that nobody waits for long behind them."""

_KNOWN: Final = """SELECT seller FROM sellers
    WHERE scope = :scope AND seller IN (SELECT value FROM json_each(:sellers))"""

_LAST_ID: Final = "SELECT coalesce(max(id), 0) FROM records"

_MAX_LAST_ID: Final = 2**62
"""An id above it was planted, and there may be none after it."""


def put_many(db: sqlite3.Connection, records: Sequence[Record]) -> list[Outcome]:
    """Write each record, or find why it may not be written."""
    with _writes.savepoint(db):
        known = _known(db, records)
        (last_id,) = db.execute(_LAST_ID).fetchone()
        are_new = [
            last_id <= _MAX_LAST_ID and not record.revision and known.isdisjoint(_keys(record))
            for record in records
        ]
        new = [record for record, is_new in zip(records, are_new, strict=True) if is_new]
        inserted = iter(_insert(db, new, last_id))
        return [
            next(inserted) if is_new else row_of(_writes.put, db, record, None)
            for record, is_new in zip(records, are_new, strict=True)
        ]


def _keys(record: Record) -> list[tuple[str, str]]:
    return [(record.scope, seller_id) for seller_id in record.seller_ids]


def _known(db: sqlite3.Connection, records: Sequence[Record]) -> set[tuple[str, str]]:
    """Those of the sellers that find a record already, with their scopes."""
    sellers: dict[str, list[str]] = {}
    for record in records:
        sellers.setdefault(record.scope, []).extend(record.seller_ids)
    return {
        (scope, seller.decode())
        for scope, some in sellers.items()
        for (seller,) in db.execute(_KNOWN, {"scope": scope, "sellers": sellers_column(some)})
    }


def _insert(db: sqlite3.Connection, records: Sequence[Record], last_id: int) -> list[Record]:
    """Insert records whose sellers find nothing yet."""
    floors = {scope: _writes.floor(db, scope) for scope in {one.scope for one in records}}
    rows = [(record, last_id + n) for n, record in enumerate(records, 1)]
    db.executemany(
        _writes.INSERT, [{**_rows.values(record, None), "id": key} for record, key in rows]
    )
    db.executemany(
        _writes.INDEX, [(*names, key) for record, key in rows for names in _keys(record)]
    )
    return [changed(record, revision=floors[record.scope] + 1) for record in records]
