"""The leases that this process has on grants, and how long it may count on each."""

from __future__ import annotations

import os
import secrets
import socket
import time
from datetime import datetime
from typing import Final

from attrs import frozen

from .._records import Record
from ..protocols import TokenStore
from ._grants import Grant


@frozen
class Lease:
    """What is known of a lease.

    Attributes:
        end: nobody else has it before this (by ``time.monotonic``).
        revision: of the record, when it was leased or the lease was lengthened last.
    """

    end: float
    revision: int


_OVER: Final = Lease(0.0, 0)


class Leases:
    """Takes leases from a store, and remembers when each ends by this process's own clock.

    That clock is looked at before the store is asked, so that it never shows an end too late.

    Args:
        scope: app and platform of the records.
        seconds: how long a lease lasts unless it is lengthened.
    """

    def __init__(self, store: TokenStore, scope: str, seconds: float) -> None:
        self._store = store
        self._scope = scope
        self._seconds = seconds
        self.start_over()

    def start_over(self) -> None:
        """Be somebody whom no other manager is, on whatever host, and who has no lease yet."""
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._leases: dict[str, Lease] = {}

    async def claim(self, *, due_by: datetime, limit: int) -> list[Record]:
        """Lease records that are due, those that die first first."""
        end = time.monotonic() + self._seconds
        records = await self._store.claim(
            self._scope, due_by=due_by, limit=limit, holder=self.holder, seconds=self._seconds
        )
        for record in records:
            self._leases[record.seller] = Lease(end, record.revision)
        return records

    async def take(self, seller: str) -> Record | None:
        """Lease a record, or lengthen one's own lease; ``None`` where another has it."""
        end = time.monotonic() + self._seconds
        record = await self._lease(seller)
        if record is not None:
            self._leases[record.seller] = Lease(end, record.revision)
        return record

    async def lengthen(self, seller: str) -> None:
        """Lengthen a lease of one's own, or learn that it is over."""
        before = self._leases.get(seller)
        if before is None:
            return
        end = time.monotonic() + self._seconds
        record = await self._lease(seller)
        if self._leases.get(seller) is before:  # or it was given back meanwhile
            self._leases[seller] = _OVER if record is None else Lease(end, record.revision)

    async def lend(self, seller: str, holder: str) -> None:
        """Lease a record for somebody else, who is at work on it."""
        await self._store.lease(self._scope, seller, holder=holder, seconds=self._seconds)

    async def give_back(self, seller: str) -> None:
        """End a lease of one's own."""
        self.forget(seller)
        await self._lease(seller, seconds=0)

    async def _lease(self, seller: str, *, seconds: float | None = None) -> Record | None:
        lasting = self._seconds if seconds is None else seconds
        return await self._store.lease(self._scope, seller, holder=self.holder, seconds=lasting)

    def forget(self, seller: str) -> None:
        """The lease has ended."""
        self._leases.pop(seller, None)

    def end(self, grant: Grant) -> float | None:
        """Until when nobody else presents the refresh token (by ``time.monotonic``).

        A record that was newer when its lease was lengthened tells that another process had it
        meanwhile: the lease is another than the one under which the grant was read and written.
        ``None`` where there is no lease: the store fails.
        """
        lease = self._leases.get(grant.seller)
        if lease is None:
            return None
        return lease.end if lease.revision <= grant.revision else 0.0

    def is_over(self, grant: Grant) -> bool:
        """Whether there is no lease to count on."""
        end = self.end(grant)
        return end is None or end <= time.monotonic()

    def is_aging(self, seller: str) -> bool:
        """Whether a third of the lease is over, so that it is time to lengthen it."""
        lease = self._leases.get(seller)
        return lease is not None and lease.end - time.monotonic() < self._seconds * 2 / 3
