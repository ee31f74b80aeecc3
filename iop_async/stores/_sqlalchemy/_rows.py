"""Records as rows: the columns of a record, the record of a row, and reading rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ..._records import Record
from .._base import Row, row_of
from .._batches import Found
from .._columns import read_record, sellers_column, to_micros, unreadable
from ._sql import Sql, chunks
from ._tables import NEVER

_PAGE_SIZE: Final = 200
"""Records read at a time: few enough that a page of long bodies is no burden on memory."""

_MISSING: Final = object()


@lru_cache(maxsize=64)
def scope_key(scope: str) -> bytes:
    """The digest that a scope is indexed by."""
    return sha256(scope.encode()).digest()


@lru_cache(maxsize=8_192)  # one record is looked for, compared and written
def seller_key(scope: str, seller_id: str) -> bytes:
    """The digest that a seller of a scope is indexed by."""
    return sha256(f"{scope}\0{seller_id}".encode()).digest()  # no name that is kept holds a NUL


def seller_keys(scope: str, seller_ids: Iterable[str]) -> list[bytes]:
    """The digests of sellers of a scope."""
    return [seller_key(scope, seller_id) for seller_id in seller_ids]


def name_columns(record: Record) -> dict[str, Any]:
    """The columns that say whose record it is; they stay as they are while it has its row."""
    return {
        "scope_key": scope_key(record.scope),
        "scope": record.scope.encode(),
        **key_columns(record.scope, record.seller_id, record.seller_ids),
    }


def key_columns(scope: str, seller_id: str, seller_ids: Sequence[str]) -> dict[str, Any]:
    """The columns that a record is filed under."""
    return {
        "seller_key": seller_key(scope, seller_id),
        "seller": seller_id.encode(),
        # in clear text and in order, so that people can read it and one comparison tells a change
        "sellers": sellers_column(seller_ids).encode(),
    }


def value_columns(record: Record) -> dict[str, Any]:
    """The columns that a write changes, but for the revision and the lease."""
    return {
        "due_at": NEVER if record.due_at is None else to_micros(record.due_at),
        "dies_at": NEVER if record.dies_at is None else to_micros(record.dies_at),
        "generation": record.generation,
        "body": record.body,
    }


def new_row(record: Record, revision: int) -> dict[str, Any]:
    """All columns of a record that has no row yet, but for its id."""
    return {
        **name_columns(record),
        **value_columns(record),
        "revision": revision,
        "lease_until": 0,
    }


def record_of(scope: str, row: Any) -> Record:
    """The record in a row. Raises ``StoreError`` where it holds what no store writes."""
    record = read_record(
        scope=scope,
        seller=row.seller,
        sellers=row.sellers,
        due_at=_unless_never(row.due_at),
        dies_at=_unless_never(row.dies_at),
        generation=row.generation,
        revision=row.revision,
        body=row.body,
    )
    # Writes go by this key: of a record that says it is another's, none would come through.
    if row.seller_key != seller_key(scope, record.seller_id):
        raise unreadable(scope, row.seller, "its column seller_key is that of another seller")
    return record


def _unless_never(micros: object) -> object:
    # what is not there at all is spoiled, and not the same as never
    return _MISSING if micros is None else None if micros == NEVER else micros


async def get(db: AsyncConnection, sql: Sql, scope: str, seller_id: str) -> Record | None:
    """The record that ``seller_id`` finds."""
    row = (await db.execute(sql.get, {"a_key": seller_key(scope, seller_id)})).first()
    return None if row is None else found_record(scope, seller_id, row)


async def get_many(
    db: AsyncConnection, sql: Sql, scope: str, seller_ids: Sequence[str]
) -> list[Found]:
    """What each of some sellers finds."""
    keys = seller_keys(scope, seller_ids)
    rows = await find(db, sql, keys)
    return [
        row_of(found_record, scope, seller_id, rows[key]) if key in rows else None
        for seller_id, key in zip(seller_ids, keys, strict=True)
    ]


async def find(db: AsyncConnection, sql: Sql, keys: Iterable[bytes]) -> dict[bytes, Any]:
    """Rows by the keys of the sellers that find them."""
    found: dict[bytes, Any] = {}
    for some in chunks(keys):
        if sql.arrays is not None:
            rows = await db.execute(sql.arrays.find, {"some_seller_key": some})
        else:
            rows = await db.execute(sql.find_rows, {"some_keys": some})
        found.update((row.found_by, row) for row in rows)
    return found


def found_record(scope: str, seller_id: str, row: Any) -> Record:
    """The record in the row that a seller finds. Raises ``StoreError`` where it is not its own."""
    record = record_of(scope, row)
    if seller_id not in record.seller_ids:
        raise unreadable(scope, seller_id, "the table sellers points to the record of another")
    return record


async def page(
    db: AsyncConnection, sql: Sql, scope: str, after: int
) -> tuple[list[Row], int | None]:
    """Rows of a scope, and what to give as ``after`` for the next; ``None`` after the last."""
    params = {"a_scope_key": scope_key(scope), "an_id": after, "a_limit": _PAGE_SIZE}
    rows = (await db.execute(sql.page, params)).all()
    read = [row_of(record_of, scope, row) for row in rows]
    return read, rows[-1].id if len(rows) == _PAGE_SIZE else None
