"""Grants that the store does not have yet: in memory, and in the journal."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial

from attrs import evolve

from .._exceptions import StoreError
from .._records import Record
from ..stores import SpillJournal
from ._bodies import from_record, to_record
from ._grants import Grant, has_pair, left_by, newest, with_candidate

_log = logging.getLogger("iop_async.tokens")


class Unpersisted:
    """What waits for the store, by the seller that it is filed under.

    Args:
        scope: app and platform of the grants.
        journal: where they outlive this process; other processes may write there as well.
    """

    def __init__(self, scope: str, journal: SpillJournal | None) -> None:
        self._scope = scope
        self._journal = journal
        self._grants: dict[str, Grant] = {}

    def __iter__(self) -> Iterator[Grant]:
        return iter(tuple(self._grants.values()))

    def __contains__(self, seller: str) -> bool:
        return seller in self._grants

    def get(self, seller: str) -> Grant | None:
        """What is filed under a seller."""
        return self._grants.get(seller)

    def of(self, sellers: Iterable[str]) -> Grant | None:
        """The newest that serves any of some sellers."""
        wanted = set(sellers)
        return newest(*(one for one in self if not wanted.isdisjoint(one.sellers)))

    def before(self, stored: AsyncIterator[Grant]) -> AsyncIterator[Grant]:
        """All of them, and then what the store has for others."""
        return _Before(self, stored)

    def remember(self, grant: Grant) -> Grant:
        """Have a grant in memory alone, unless there is another; what there is."""
        return self._grants.setdefault(grant.seller, grant)

    async def require(self, grant: Grant) -> None:
        """Have a grant in memory and in the journal.

        Raises:
            StoreError: the journal failed, or there is none.
        """
        if self._journal is None:
            raise StoreError("there is no journal")
        await self._journal.append(to_record(grant, due_at=None))
        self._grants[grant.seller] = grant

    async def add(self, grant: Grant) -> None:
        """Have a grant in memory, and in the journal if that takes it."""
        try:
            await self.require(grant)
        except (OSError, StoreError) as failure:
            self._grants[grant.seller] = grant
            _log.critical("seller %s is in memory only: %s", grant.seller, failure)

    async def discard(self, grant: Grant) -> None:
        """Drop what is in the store by now, or superseded; later, where the journal fails."""
        try:
            await self.remove(grant)
        except StoreError as failure:
            _log.warning("seller %s is in the store, and in the journal: %s", grant.seller, failure)

    async def remove(self, grant: Grant) -> None:
        """Drop what nobody is to find again.

        Raises:
            StoreError: the journal failed.
        """
        if self._grants.get(grant.seller) is grant:
            del self._grants[grant.seller]
        if self._journal is not None:
            is_settled = partial(_is_settled, by=grant)
            await self._journal.remove(self._scope, grant.seller, is_settled)

    async def recover(self) -> None:
        """Take over what earlier processes could only write to the journal.

        Raises:
            StoreError: something there cannot be read; to go on without it might be to present a
                refresh token that is spent.
        """
        if self._journal is None:
            return
        found: dict[str, Grant] = {}
        for record in await self._journal.records():
            if record.scope == self._scope:
                grant = from_record(record)
                found[grant.seller] = _joined(found.get(grant.seller, grant), grant)
        self._grants = found | self._grants


class _Before(AsyncIterator[Grant]):
    def __init__(self, unpersisted: Iterable[Grant], stored: AsyncIterator[Grant]) -> None:
        self._waiting = deque(unpersisted)
        self._given = {seller: grant for grant in self._waiting for seller in grant.sellers}
        self._stored = stored

    async def __anext__(self) -> Grant:
        if self._waiting:
            return self._waiting.popleft()
        async for grant in self._stored:
            if (left := self._left(grant)) is not None:
                return left
        raise StopAsyncIteration

    def _left(self, grant: Grant) -> Grant | None:
        others = [self._given[seller] for seller in grant.sellers if seller in self._given]
        is_given = any(other.authorization == grant.authorization for other in others)
        return None if is_given else left_by(others, grant)


def _joined(one: Grant, other: Grant) -> Grant:
    """The newer of two, the other where neither is; it keeps the pair of an equally new one."""
    older, newer = sorted((one, other), key=lambda grant: grant.version)
    return newer if older.age < newer.age else with_candidate(newer, older.token)


def _is_settled(record: Record, *, by: Grant) -> bool:
    """Whether nothing is lost with what a journal has, where the store has a grant."""
    grant = from_record(record)
    if grant.age != by.age:
        return grant.age < by.age
    is_older = grant.revision < by.revision and has_pair(by, grant.token)
    return is_older or evolve(grant, candidates=()) == evolve(by, candidates=())
