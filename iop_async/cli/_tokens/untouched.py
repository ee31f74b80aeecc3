"""A store that is looked at and never written to."""

# ruff: noqa: ARG002 - a store is asked for a scope, whatever it answers

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from anyio.lowlevel import checkpoint
from attrs import evolve

from ..._exceptions import StoreError
from ..._records import Record
from ...protocols import StoreReport
from ...stores import ConfiguredStore


class Untouched:
    """Answers questions from another store, and says of writes what that might.

    What is written is not kept: a seller that comes twice is new both times.
    """

    def __init__(self, store: ConfiguredStore) -> None:
        self._store = store

    async def check(self, scope: str = "") -> StoreReport:
        """That of the other store."""
        return await self._store.check(scope)

    async def get(self, scope: str, seller_id: str) -> Record | None:
        """The record that a seller finds."""
        return await self._store.get(scope, seller_id)

    async def get_many(
        self, scope: str, seller_ids: Sequence[str]
    ) -> list[Record | StoreError | None]:
        """The records that many sellers find."""
        return await self._store.get_many(scope, seller_ids)

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All of a scope."""
        return self._store.records(scope)

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """The record as if it were written."""
        await checkpoint()
        return evolve(record, revision=record.revision + 1)

    async def put_many(self, records: Sequence[Record]) -> list[Record | StoreError]:
        """The records as if they were written."""
        return [await self.put(record) for record in records]

    async def remove(self, scope: str, seller_id: str) -> bool:
        """Nothing."""
        await checkpoint()
        return False

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Nothing is to be refreshed."""
        await checkpoint()
        return []

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """As where another holder has it."""
        await checkpoint()
        return None

    async def next_due(self, scope: str) -> datetime | None:
        """Nothing is due."""
        await checkpoint()
        return None

    async def aclose(self) -> None:
        """The other store is whose it was."""
        await checkpoint()
