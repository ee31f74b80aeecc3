"""A scope that one transaction has to itself, to change which record each seller finds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Self

from attrs import define
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._records import Record
from . import _rows
from ._statements import Statements

_AT_ONCE: Final = 500
"""The most rows that one statement names: databases bound their parameters."""


def chunks(values: Iterable[Any]) -> list[list[Any]]:
    """The values, no more at once than a statement may name."""
    every = list(values)
    return [every[at : at + _AT_ONCE] for at in range(0, len(every), _AT_ONCE)]


@define
class LockedScope:
    """Holds the lock of its scope until the transaction ends.

    Attributes:
        floor: the highest revision of any record that is gone.
    """

    _db: AsyncConnection
    _say: Statements
    _scope: str
    _kept_floor: int
    floor: int

    @classmethod
    async def lock(cls, db: AsyncConnection, say: Statements, scope: str) -> Self:
        """Wait for the others who change the scope."""
        key = {"a_scope_key": _rows.scope_key(scope)}
        while (floor := (await db.execute(say.floor, key)).scalar()) is None:
            await db.execute(say.new_floor, {"scope_key": key["a_scope_key"], "revision": 0})
        return cls(db, say, scope, floor, floor)

    async def find(self, sellers: Collection[str]) -> dict[bytes, int]:
        """The ids of the records that sellers find, by the keys of those that find one."""
        found: dict[bytes, int] = {}
        for keys in chunks(_rows.seller_keys(self._scope, sellers)):
            rows = await self._db.execute(self._say.find, {"some_keys": keys})
            found.update((row.seller_key, row.record_id) for row in rows)
        return found

    async def owners(self, ids: Iterable[int]) -> dict[int, Record]:
        """The records with these ids, locked so that nobody writes or leases them meanwhile."""
        owners: dict[int, Record] = {}
        for some in chunks(sorted(set(ids))):
            rows = await self._db.execute(self._say.owners, {"some_ids": some})
            owners.update((row.id, _rows.record_of(self._scope, row)) for row in rows)
        return owners

    async def rob(self, key: int, record: Record, taken: Collection[str]) -> None:
        """Take sellers from a record that they found so far."""
        left = [seller for seller in record.sellers if seller not in taken]
        if record.seller in left:
            await self._refile(key, record.seller, left)
        elif left:
            self.floor = max(self.floor, record.revision)
            await self._refile(key, left[0], left)
        else:
            await self.drop(key, record)

    async def _refile(self, key: int, seller: str, sellers: Sequence[str]) -> None:
        # A write like any other: who holds the record as it was must not take the sellers back.
        await self._db.execute(
            self._say.change,
            {"an_id": key, **_rows.filing_of(self._scope, seller, sellers)},
        )

    async def insert(self, record: Record) -> int:
        """A new row; its id."""
        row = {
            **_rows.names_of(record),
            **_rows.facts_of(record),
            "revision": record.revision,
            "lease_until": 0,
        }
        made: Any = (await self._db.execute(self._say.insert, row)).inserted_primary_key
        return int(made.id)

    async def change(self, key: int, record: Record) -> None:
        """Write all of a record but its lease; its revision counts on."""
        filing = _rows.filing_of(record.scope, record.seller, record.sellers)
        await self._db.execute(self._say.change, {"an_id": key, **filing, **_rows.facts_of(record)})

    async def drop(self, key: int, record: Record) -> None:
        """Delete the row of a record."""
        self.floor = max(self.floor, record.revision)
        await self._db.execute(self._say.delete, {"an_id": key})

    async def point(self, sellers: Sequence[str], key: int, found: Mapping[bytes, int]) -> None:
        """Let sellers find a record, given what they found so far."""
        keys = _rows.seller_keys(self._scope, sellers)
        moved = [one for one in keys if found.get(one, key) != key]
        for some in chunks(moved):
            await self._db.execute(self._say.move_sellers, {"some_keys": some, "record_id": key})
        gained = [{"seller_key": one, "record_id": key} for one in keys if one not in found]
        if gained:
            await self._db.execute(self._say.add_sellers, gained)

    async def forget(self, sellers: Collection[str]) -> None:
        """Let sellers find nothing."""
        for keys in chunks(_rows.seller_keys(self._scope, sellers)):
            await self._db.execute(self._say.forget_sellers, {"some_keys": keys})

    async def raise_floor(self) -> None:
        """Let the next new record begin above those that are gone."""
        if self.floor > self._kept_floor:
            key = _rows.scope_key(self._scope)
            await self._db.execute(
                self._say.raise_floor, {"a_scope_key": key, "revision": self.floor}
            )
