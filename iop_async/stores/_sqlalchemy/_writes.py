"""Writing records, each function within one transaction.

Whoever changes which record a seller finds locks the scope first, so that no two of them meet
halfway. All others change one row, and wait for nothing while they hold it; or insert one for
sellers that found nothing, see :mod:`._bulk`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self

from attrs import define
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ..._records import Record
from ..._values import changed
from .._base import row_of
from .._contract import MAX_READ_COUNT, is_repetition
from . import _rows
from ._errors import Overtaken
from ._sql import Sql, chunks


@define
class LockedScope:
    """A scope under its row lock, which other writers wait for until the transaction ends.

    Attributes:
        revision_floor: the highest revision of any record that is gone.
    """

    _db: AsyncConnection
    _sql: Sql
    _scope: str
    _stored_floor: int
    revision_floor: int

    @classmethod
    async def lock(cls, db: AsyncConnection, sql: Sql, scope: str) -> Self:
        """Wait for the others who change the scope."""
        key = _rows.scope_key(scope)
        params = {"a_scope_key": key}
        # There is no lock on a row that is missing: two may insert it, and both lock it then.
        while (row := (await db.execute(sql.lock_scope, params)).first()) is None:
            await db.execute(sql.insert_floor, {"scope_key": key, "revision": 0})
        # a floor that was planted must not keep every new record from being read
        floor = row.revision if is_count(row.revision) else 0
        return cls(db, sql, scope, floor, floor)

    async def find(self, seller_ids: Collection[str]) -> dict[bytes, int]:
        """Row ids by seller key, for the sellers that find a record."""
        found: dict[bytes, int] = {}
        for keys in chunks(_rows.seller_keys(self._scope, seller_ids)):
            rows = await self._db.execute(self._sql.find, {"some_keys": keys})
            found.update((row.seller_key, row.record_id) for row in rows)
        return found

    async def lock_rows(self, row_ids: Iterable[int | None]) -> list[Any]:
        """Rows under their row locks, so that nobody writes or leases them meanwhile."""
        rows: list[Any] = []
        for some in chunks(sorted({row_id for row_id in row_ids if row_id is not None})):
            rows += await self._db.execute(self._sql.lock_rows, {"some_ids": some})
        return rows

    async def detach_sellers(self, row: Any, taken: Collection[str]) -> None:
        """Take sellers from a record that they found so far."""
        record = row_of(_rows.record_of, self._scope, row)
        if isinstance(record, StoreError):
            return  # nobody can tell what to write there, and to let the sellers go is enough
        left = [seller_id for seller_id in record.seller_ids if seller_id not in taken]
        if record.seller_id in left:
            await self._refile(row.id, record.seller_id, left)
        elif left:
            self.revision_floor = max(self.revision_floor, record.revision)
            await self._refile(row.id, left[0], left)
        else:
            await self.delete(row)

    async def _refile(self, row_id: int, seller_id: str, seller_ids: Sequence[str]) -> None:
        # A write like any other: who holds the record as it was must not take the sellers back.
        keys = _rows.key_columns(self._scope, seller_id, seller_ids)
        await self._db.execute(self._sql.change, {"an_id": row_id, **keys})

    async def insert(self, record: Record) -> int:
        """A new row; its id."""
        row = _rows.new_row(record, record.revision)
        made: Any = (await self._db.execute(self._sql.insert, row)).inserted_primary_key
        return int(made.id)

    async def change(self, row_id: int, record: Record) -> None:
        """Write all of a record but its lease; its revision counts on."""
        keys = _rows.key_columns(record.scope, record.seller_id, record.seller_ids)
        params = {"an_id": row_id, **keys, **_rows.value_columns(record)}
        await self._db.execute(self._sql.change, params)

    async def delete(self, row: Any) -> None:
        """Delete a row; what is put in its place later begins above it."""
        if is_count(row.revision):
            self.revision_floor = max(self.revision_floor, row.revision)
        await self._db.execute(self._sql.delete, {"an_id": row.id})

    async def delete_spoiled(self, row: Any) -> None:
        """Delete a row of which only its id is certain, and look for it among all sellers."""
        await self._db.execute(self._sql.unindex_record, {"an_id": row.id})
        await self.delete(row)

    async def index_sellers(
        self, seller_ids: Sequence[str], row_id: int, found: Mapping[bytes, int]
    ) -> None:
        """Let sellers find a record, given what they found so far."""
        keys = _rows.seller_keys(self._scope, seller_ids)
        moved = [key for key in keys if found.get(key, row_id) != row_id]
        for some in chunks(moved):
            params = {"some_keys": some, "record_id": row_id}
            if (await self._db.execute(self._sql.move_sellers, params)).rowcount < len(some):
                raise Overtaken  # by another node of a cluster, whose locks are its own
        # in one order, as whoever inserts new records does: see _bulk
        missing = sorted(key for key in keys if key not in found)
        gained = [{"seller_key": key, "record_id": row_id} for key in missing]
        if gained:
            await self._db.execute(self._sql.index_sellers, gained)

    async def unindex_sellers(self, seller_ids: Collection[str]) -> None:
        """Let sellers find nothing."""
        for keys in chunks(_rows.seller_keys(self._scope, seller_ids)):
            await self._db.execute(self._sql.unindex_sellers, {"some_keys": keys})

    async def raise_floor(self) -> None:
        """Let the next new record begin above those that are gone."""
        if self.revision_floor > self._stored_floor:
            params = {
                "a_scope_key": _rows.scope_key(self._scope),
                "revision": self.revision_floor,
            }
            await self._db.execute(self._sql.raise_floor, params)


def is_count(revision: object) -> bool:
    """Whether a store may have written it, so that others can count on from there."""
    return isinstance(revision, int) and 0 <= revision <= MAX_READ_COUNT


async def replace(db: AsyncConnection, sql: Sql, record: Record, release: str | None) -> bool:
    """Compare and swap a record whose sellers stay as they are; whether it was swapped."""
    keys = _rows.key_columns(record.scope, record.seller_id, record.seller_ids)
    params = {
        **_rows.value_columns(record),
        "a_key": keys["seller_key"],
        "some_sellers": keys["sellers"],
        "a_number": record.revision,
        "a_holder": None if release is None else release.encode(),
    }
    return (await db.execute(sql.replace, params)).rowcount > 0


async def put(
    db: AsyncConnection, sql: Sql, record: Record, release: str | None, *, again: bool
) -> Record:
    """Compare and swap a record, and let its sellers find it.

    Args:
        again: an earlier attempt may have done so, and ended the lease; the holder may have a new
            one.
    """
    scope = await LockedScope.lock(db, sql, record.scope)
    found = await scope.find(record.seller_ids)
    rows = await scope.lock_rows(found.values())
    key = _rows.seller_key(record.scope, record.seller_id)
    row_id, stored = next(
        ((row.id, _rows.record_of(record.scope, row)) for row in rows if row.seller_key == key),
        (None, None),
    )
    if is_repetition(stored, record) and stored is not None and row_id is not None:
        written = stored
        release = None if again else release
    else:
        for row in rows:
            if row.id != row_id:
                await scope.detach_sellers(row, record.seller_ids)
        if stored is None or row_id is None:
            written = changed(record, revision=scope.revision_floor + 1)
            row_id = await scope.insert(written)
        else:
            written = changed(record, revision=stored.revision + 1)
            await scope.change(row_id, written)
            await scope.unindex_sellers(set(stored.seller_ids) - set(record.seller_ids))
        await scope.index_sellers(record.seller_ids, row_id, found)
    if release is not None:
        await db.execute(sql.release, {"an_id": row_id, "a_holder": release.encode()})
    await scope.raise_floor()
    return written


async def remove(
    db: AsyncConnection,
    sql: Sql,
    scope: str,
    seller_id: str,
    only: Mapping[int, int] | None = None,
) -> dict[int, int]:
    """Forget the record that ``seller_id`` finds; its revision by its row id, if there was one.

    Args:
        only: what an earlier attempt found; whatever came after it is left alone.
    """
    locked = await LockedScope.lock(db, sql, scope)
    found = await locked.find([seller_id])
    rows = await locked.lock_rows(found.values())
    for row in rows:
        if only is not None and only.get(row.id) != row.revision:
            continue
        record = row_of(_rows.record_of, scope, row)
        if isinstance(record, StoreError):
            await locked.delete_spoiled(row)
        elif seller_id in record.seller_ids:
            await locked.delete(row)
            await locked.unindex_sellers(record.seller_ids)
        else:  # the index is spoiled, and not the record of another seller that it points to
            await locked.unindex_sellers([seller_id])
    await locked.raise_floor()
    return {row.id: row.revision for row in rows}
