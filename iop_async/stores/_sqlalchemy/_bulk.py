"""Writing new records without the scope's lock, many or one, each function in one transaction.

Sellers that find nothing yet are nobody's to wait for: of two writers of one seller, the second
meets a unique index, begins again, and finds what the first wrote. All that a scope has in common
is that new records begin above those that are gone; see :func:`_insert`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ..._records import Record
from ..._values import changed
from .._batches import Outcome
from .._contract import is_repetition
from . import _rows
from ._many_rows_sql import Json, as_arrays, as_document
from ._sql import Sql, chunks
from ._writes import is_count

BATCH_MAX: Final = 1_000
"""Records in one transaction: few enough that it takes no longer than a slow statement."""

_INDEXED_MAX: Final = 10_000
"""Sellers that one statement has find their records: each is a hundred bytes of it."""


async def put_many(
    db: AsyncConnection, sql: Sql, records: Sequence[Record]
) -> list[Outcome | None]:
    """Insert the records whose sellers find nothing; ``None`` for those to be put one by one."""
    found = await _rows.find(db, sql, (key for record in records for key in _keys(record)))
    outcomes = [_judge(record, found) for record in records]
    new = [record for record, known in zip(records, outcomes, strict=True) if known is record]
    inserted = iter(await _insert(db, sql, new, await _floors(db, sql, new)) if new else ())
    return [
        next(inserted) if known is record else known
        for record, known in zip(records, outcomes, strict=True)
    ]


async def put_new(db: AsyncConnection, sql: Sql, record: Record) -> Record | None:
    """Insert a record if its sellers find nothing."""
    scope = _rows.scope_key(record.scope)
    seen = (await db.execute(sql.look, {"a_scope_key": scope, "some_keys": _keys(record)})).one()
    if seen.is_known:
        return None
    floor = seen.floor if is_count(seen.floor) else 0
    return (await _insert(db, sql, [record], {scope: floor}))[0]


def _judge(record: Record, found: Mapping[bytes, Any]) -> Outcome | None:
    """What becomes of a record: itself where it is new, ``None`` where only a lock can tell."""
    key = _key(record)
    row = found.get(key)
    is_own = row is not None and row.seller_key == key
    try:
        stored = _rows.record_of(record.scope, row) if is_own else None
        if is_repetition(stored, record):
            return stored
    except StoreError as error:
        return error.with_traceback(None)  # whose frames hold the body
    return record if found.keys().isdisjoint(_keys(record)) else None


async def _insert(
    db: AsyncConnection, sql: Sql, records: Sequence[Record], before: Mapping[bytes, int]
) -> list[Record]:
    """Insert records whose sellers found nothing a moment ago.

    Somebody may have removed a record of theirs since the floors of their scopes were read
    (``before``). So those are read again when the sellers are ours: whoever had them has committed,
    and raised the floor, by then.
    """
    row_ids = await _insert_rows(db, sql, records, before)
    await _index_sellers(db, sql, records, row_ids)
    floors = await _floors(db, sql, records)
    for scope in floors:
        if floors[scope] > before[scope]:
            ours = (row_ids[_key(one)] for one in records if _rows.scope_key(one.scope) == scope)
            for some in chunks(ours):
                await db.execute(sql.recount, {"some_ids": some, "revision": floors[scope] + 1})
    return [
        changed(record, revision=floors[_rows.scope_key(record.scope)] + 1) for record in records
    ]


async def _floors(db: AsyncConnection, sql: Sql, records: Iterable[Record]) -> dict[bytes, int]:
    """The highest revisions of records that are gone, by the keys of their scopes."""
    floors = {_rows.scope_key(scope): 0 for scope in {record.scope for record in records}}
    for keys in chunks(floors):
        rows = await db.execute(sql.floors, {"some_keys": keys})
        floors |= {row.scope_key: row.revision for row in rows if is_count(row.revision)}
    return floors


async def _insert_rows(
    db: AsyncConnection, sql: Sql, records: Iterable[Record], floors: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Insert the rows of records; their ids by the keys of those that they are filed under."""
    rows = [_rows.new_row(one, floors[_rows.scope_key(one.scope)] + 1) for one in records]
    in_order = sorted(rows, key=_seller_key)
    if sql.arrays is not None:
        made = await db.execute(sql.arrays.insert, as_arrays(in_order))
    else:
        made = await db.execute(_as_one(db, sql.insert, "id", "seller_key"), in_order)
    if db.dialect.insert_executemany_returning:
        return {row.seller_key: row.id for row in made}
    found: dict[bytes, int] = {}
    for keys in chunks(map(_seller_key, in_order)):
        ids = await db.execute(sql.ids, {"some_keys": keys})
        found.update((row.seller_key, row.id) for row in ids)
    return found


async def _index_sellers(
    db: AsyncConnection, sql: Sql, records: Iterable[Record], row_ids: Mapping[bytes, int]
) -> None:
    rows = [
        {"seller_key": key, "record_id": row_ids[_key(record)]}
        for record in records
        for key in _keys(record)
    ]
    for some in chunks(sorted(rows, key=_seller_key), _INDEXED_MAX):
        if sql.arrays is not None:
            await db.execute(sql.arrays.index_sellers, as_arrays(some))
        elif sql.json is not None:
            document = {"a_document": as_document(some, Json.INDEXED)}
            await db.execute(sql.json.index_sellers, document)
        else:
            await db.execute(_as_one(db, sql.index_sellers, "seller_key"), some)


def _as_one(db: AsyncConnection, statement: Insert, *returned: str) -> Insert:
    """The insert of many rows as one statement, which it is where it returns something."""
    if not db.dialect.insert_executemany_returning:
        return statement
    return statement.returning(*(statement.table.c[name] for name in returned))


def _seller_key(row: Mapping[str, Any]) -> bytes:
    """All writers insert in the order of it, so that no two of them wait for each other."""
    key: bytes = row["seller_key"]
    return key


def _key(record: Record) -> bytes:
    return _rows.seller_key(record.scope, record.seller_id)


def _keys(record: Record) -> list[bytes]:
    return _rows.seller_keys(record.scope, record.seller_ids)
