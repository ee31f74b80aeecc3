"""Grants in the store: leased, read, written, and joined with what other processes wrote."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Final

from attrs import frozen

from .._exceptions import StaleRecord
from .._models import Token
from .._records import Record
from .._refresh import RefreshPolicy
from .._values import changed
from ..protocols import TokenStore
from ._grant import Grant, due_at, newest
from ._grant_json import from_record, to_record
from ._transitions import (
    has_pair,
    split_off,
    still_warned,
    with_candidate,
    without_reapproved,
)


@frozen
class Lease:
    """What is known of a lease.

    Attributes:
        ends_at: nobody else has it before this (by ``time.monotonic``).
        revision: of the record, when it was leased or the lease was lengthened last.
    """

    ends_at: float
    revision: int


_OVER: Final = Lease(0.0, 0)

_MAX_TRIES: Final = 100
"""Writes in a row that each find a newer record than was read just before."""


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
        """A holder's name of one's own on every host, and no lease."""
        self.holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._leases: dict[str, Lease] = {}

    async def claim(self, *, due_by: datetime, limit: int) -> list[Record]:
        """Lease records that are due, ordered by expiry, earliest first."""
        end = time.monotonic() + self._seconds
        records = await self._store.claim(
            self._scope, due_by=due_by, limit=limit, holder=self.holder, seconds=self._seconds
        )
        for record in records:
            self._leases[record.seller_id] = Lease(end, record.revision)
        return records

    async def take(self, seller_id: str) -> Record | None:
        """Lease a record, or lengthen one's own lease; ``None`` where another has it."""
        end = time.monotonic() + self._seconds
        record = await self._store.lease(
            self._scope, seller_id, holder=self.holder, seconds=self._seconds
        )
        if record is not None:
            self._leases[record.seller_id] = Lease(end, record.revision)
        return record

    async def renew(self, seller_id: str) -> None:
        """Renew a lease of one's own, or learn that it is over."""
        before = self._leases.get(seller_id)
        if before is None:
            return
        end = time.monotonic() + self._seconds
        record = await self._store.lease(
            self._scope, seller_id, holder=self.holder, seconds=self._seconds
        )
        if self._leases.get(seller_id) is before:  # or it was given back meanwhile
            self._leases[seller_id] = _OVER if record is None else Lease(end, record.revision)

    async def lend(self, seller_id: str, holder: str) -> None:
        """Lease a record for somebody else, who is at work on it."""
        await self._store.lease(self._scope, seller_id, holder=holder, seconds=self._seconds)

    async def give_back(self, seller_id: str) -> None:
        """End a lease of one's own."""
        self.forget(seller_id)
        await self._store.lease(self._scope, seller_id, holder=self.holder, seconds=0)

    def forget(self, seller_id: str) -> None:
        """The lease has ended."""
        self._leases.pop(seller_id, None)

    def ends_at(self, grant: Grant) -> float | None:
        """Until when nobody else presents the refresh token (by ``time.monotonic``).

        A record that was newer when its lease was lengthened tells that another process had it
        meanwhile: the lease is another than the one under which the grant was read and written.
        ``None`` where there is no lease: the store fails.
        """
        lease = self._leases.get(grant.seller_id)
        if lease is None:
            return None
        return lease.ends_at if lease.revision <= grant.revision else 0.0

    def is_over(self, grant: Grant) -> bool:
        """Whether there is no lease to count on."""
        end = self.ends_at(grant)
        return end is None or end <= time.monotonic()

    def is_aging(self, seller_id: str) -> bool:
        """Whether a third of the lease is over, so that it is time to lengthen it."""
        lease = self._leases.get(seller_id)
        return lease is not None and lease.ends_at - time.monotonic() < self._seconds * 2 / 3


class Stored:
    """What the store has.

    Args:
        scope: app and platform of the grants.
        policy: when a grant must be looked at again.
        leases: of this process on the store's grants.
    """

    def __init__(
        self, store: TokenStore, *, scope: str, policy: RefreshPolicy, leases: Leases
    ) -> None:
        self._store = store
        self._scope = scope
        self._policy = policy
        self._leases = leases

    async def get(self, seller_id: str) -> Grant | None:
        """The grant that a seller finds."""
        record = await self._store.get(self._scope, seller_id)
        return None if record is None else from_record(record)

    async def find_all(self, seller_ids: Iterable[str]) -> list[Grant]:
        """The grants that some sellers find, each once."""
        found: list[Grant] = []
        for seller_id in dict.fromkeys(seller_ids):
            if not any(seller_id in one.seller_ids for one in found):
                grant = await self.get(seller_id)
                found += [] if grant is None else [grant]
        return found

    async def write(self, grant: Grant, *, release: bool = False) -> Grant:
        """Make a grant durable.

        Raises:
            StaleRecord: the stored one is newer, or gone.
            StoreError: the store failed.
        """
        record = to_record(grant, due_at=due_at(grant, self._policy))
        stored = await self._store.put(record, release=self._leases.holder if release else None)
        return changed(grant, revision=stored.revision)

    async def remove(self, seller_id: str) -> bool:
        """Remove the grant that a seller finds; whether there was one."""
        return await self._store.remove(self._scope, seller_id)

    async def add(self, grant: Grant) -> Grant | None:
        """Write what could not be written when it came; what there is now.

        ``None`` where the seller was forgotten since.
        """
        stored = await self.find_all((grant.seller_id, *grant.seller_ids))
        current = _of_one_approval(stored, grant)
        if current is None:
            if not stored:
                return None if grant.revision else await self.write(grant)
            return await self._succeed(stored, grant)
        if current.version == grant.version:
            return await self.write(grant)
        if current.age > grant.age or (current.age == grant.age and has_pair(current, grant.token)):
            return current
        return await self.write_outcome(grant, grant.token)

    async def write_outcome(self, outcome: Grant, pair: Token | None) -> Grant | None:
        """Write the outcome of a refresh; what there is then.

        A later approval wins over it, and against a later pair of the same one, the ``pair`` that
        the refresh brought is kept as a candidate. ``None`` where the seller was forgotten.
        """
        grant = outcome
        for _ in range(_MAX_TRIES):
            try:
                return await self.write(grant, release=True)
            except StaleRecord:
                stored = await self.find_all(outcome.seller_ids)
                current = _of_one_approval(stored, outcome)
                if current is None:
                    return await self._succeed(stored, outcome) if stored else None
                if current.generation < outcome.generation:
                    # A seller may have approved alone meanwhile, and be no longer of this grant.
                    grant = changed(
                        outcome,
                        revision=current.revision,
                        warned=still_warned(current, outcome.token),
                        seller_id=current.seller_id,
                        seller_ids=current.seller_ids,
                    )
                elif pair is not None and not has_pair(current, pair):
                    grant = with_candidate(current, pair)
                elif current.age == outcome.age and self._is_ours(current):
                    told = outcome.warned | current.warned
                    grant = changed(outcome, revision=current.revision, warned=told)
                    for candidate in current.candidates:
                        grant = with_candidate(grant, candidate)
                else:
                    return current
        raise _contended(outcome.seller_id)

    def _is_ours(self, grant: Grant) -> bool:
        """Whether nobody else took over since this process presented the refresh token."""
        return grant.intent is not None and grant.intent.holder == self._leases.holder

    async def _succeed(self, stored: list[Grant], grant: Grant) -> Grant:
        """Write a grant in the place of earlier approvals, if it is not itself succeeded.

        The store has earlier ones where it failed when the approval came, or went back in time.
        """
        is_later = any(one.epoch < grant.epoch for one in stored)
        if is_later or not grant.revision:
            return await self.replace(grant.seller_ids, partial(without_reapproved, grant=grant))
        return newest(*stored) or grant

    async def replace(
        self, seller_ids: Iterable[str], make: Callable[[list[Grant]], Grant | None]
    ) -> Grant:
        """Write a grant in the place of what there is for some sellers; what there is then.

        Args:
            make: the grant, given what there is; ``None`` where that is to stay.
        """
        seller_ids = tuple(seller_ids)
        for _ in range(_MAX_TRIES):
            stored = await self.find_all(seller_ids)
            grant = make(stored)
            if grant is None:
                return max(stored, key=lambda one: one.age)
            revisions = {one.seller_id: one.revision for one in stored}
            try:
                if not await self._set_apart(stored, grant):
                    written = changed(grant, revision=revisions.get(grant.seller_id, 0))
                    return await self.write(written, release=True)
            except StaleRecord:
                pass
        raise _contended(seller_ids[0])

    async def _set_apart(self, stored: list[Grant], grant: Grant) -> bool:
        """Give sellers that did not approve a record of their own, before theirs is replaced.

        Whether there were any. Where their refresh token is being presented it stays leased to
        whoever does that.
        """
        for one in stored:
            others = split_off(one, grant) if one.seller_id in grant.seller_ids else None
            if others is not None:
                await self.write(others)
                if one.intent is not None:
                    await self._leases.lend(others.seller_id, one.intent.holder)
                return True
        return False


def _contended(seller_id: str) -> StaleRecord:
    return StaleRecord(
        f"the record of seller {seller_id} was newer than it had been read {_MAX_TRIES} times in "
        "a row; does the store read from a replica that is behind?"
    )


def _of_one_approval(stored: Iterable[Grant], grant: Grant) -> Grant | None:
    return next((one for one in stored if one.epoch == grant.epoch), None)
