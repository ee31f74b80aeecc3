"""The leases that this process has on grants, and how long it may count on each."""

from __future__ import annotations

import time
from datetime import datetime

from .._records import Record
from ..protocols import TokenStore


class Leases:
    """Takes leases from a store, and remembers when each ends by this process's own clock.

    That clock is looked at before the store is asked, so that it never shows an end too late.

    Args:
        scope: app and platform of the records.
        holder: who leases.
        seconds: how long a lease lasts unless it is lengthened.
    """

    def __init__(self, store: TokenStore, scope: str, holder: str, seconds: float) -> None:
        self._store = store
        self._scope = scope
        self._seconds = seconds
        self._ends: dict[str, float] = {}
        self.holder = holder

    async def claim(self, *, due_by: datetime, limit: int) -> list[Record]:
        """Lease records that are due, those that die first first."""
        end = time.monotonic() + self._seconds
        records = await self._store.claim(
            self._scope, due_by=due_by, limit=limit, holder=self.holder, seconds=self._seconds
        )
        self._ends |= dict.fromkeys((record.seller for record in records), end)
        return records

    async def take(self, seller: str) -> Record | None:
        """Lease a record, or lengthen one's own lease; ``None`` where another has it."""
        end = time.monotonic() + self._seconds
        record = await self._store.lease(
            self._scope, seller, holder=self.holder, seconds=self._seconds
        )
        if record is not None:
            self._ends[record.seller] = end
        return record

    async def lengthen(self, seller: str) -> None:
        """Lengthen a lease of one's own, or learn that it is over."""
        if await self.take(seller) is None and seller in self._ends:
            self._ends[seller] = 0.0

    async def give_back(self, seller: str) -> None:
        """End a lease of one's own."""
        self.forget(seller)
        await self._store.lease(self._scope, seller, holder=self.holder, seconds=0)

    def forget(self, seller: str) -> None:
        """The lease has ended."""
        self._ends.pop(seller, None)

    def end(self, seller: str) -> float | None:
        """Until when nobody else presents the refresh token (by ``time.monotonic``).

        ``None`` where there is no lease: the store fails.
        """
        return self._ends.get(seller)

    def is_over(self, seller: str) -> bool:
        """Whether there is no lease to count on."""
        end = self._ends.get(seller)
        return end is None or end <= time.monotonic()

    def is_aging(self, seller: str) -> bool:
        """Whether a third of the lease is over, so that it is time to lengthen it."""
        end = self._ends.get(seller)
        return end is not None and end - time.monotonic() < self._seconds * 2 / 3
