"""Grants that the store does not have yet: in memory, and in the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

import anyio

from .._exceptions import StoreError
from .._logs import own_logger
from .._records import Record
from .._values import changed
from ..stores import SpillJournal
from ._grant import Grant, newest
from ._grant_json import from_record, to_record
from ._stored import Stored
from ._transitions import has_pair, with_candidate, without_reapproved

_log = own_logger("iop_async.tokens")


_FLUSH_TIMEOUT: Final = 60.0
"""Seconds that a store may take for what it did not take before, and tries several times itself."""

KEEP_TIMEOUT: Final = 10.0
"""Seconds that a store may take for a new pair, which goes to the journal then."""

FLUSH_MAX_IN_FLIGHT: Final = 50
"""Grants that are written to the store at a time, while approvals wait."""

_PAGE: Final = 1_000
"""Grants that are dropped from the journal at a time: it is read and written anew for that."""


class Unpersisted:
    """What waits for the store.

    Args:
        scope: app and platform of the grants.
        journal: where they outlive this process; other processes may write there as well.
        stored: the store, when that takes them.

    Attributes:
        grants: by the seller that each is filed under.
    """

    def __init__(self, scope: str, journal: SpillJournal | None, stored: Stored) -> None:
        self._scope = scope
        self._journal = journal
        self._stored = stored
        self.grants: dict[str, Grant] = {}
        self._found_by: dict[str, set[str]] = {}
        self._in_memory_only: set[str] = set()
        self.start_over()

    def start_over(self) -> None:
        """Hold no lock: an event loop may have ended with it."""
        # What comes late must not be written over an approval that is written at this moment.
        self.approvals = anyio.Lock()
        self._flushing = anyio.Lock()

    def __iter__(self) -> Iterator[Grant]:
        return iter(tuple(self.grants.values()))

    def find(self, seller_ids: Iterable[str]) -> Grant | None:
        """The newest that serves any of some sellers."""
        filed = {each for wanted in seller_ids for each in self._found_by.get(wanted, ())}
        return newest(*(self.grants[each] for each in sorted(filed)))

    def before(self, stored: AsyncIterator[Grant]) -> AsyncIterator[Grant]:
        """All of them, and then what the store has for others."""
        return _Before(self, stored)

    @property
    def in_memory_only(self) -> list[Grant]:
        """Those that end with this process: the journal did not take them either."""
        return [grant for grant in self if grant.seller_id in self._in_memory_only]

    def is_durable(self, grant: Grant) -> bool:
        """Whether a grant outlives this process: the store has it, or the journal."""
        return (
            grant.seller_id not in self._in_memory_only or self.grants.get(grant.seller_id) != grant
        )

    def why(self, grant: Grant) -> str:
        """What is to be told of a grant that the store does not have."""
        if self.is_durable(grant):
            return "the store failed; the journal and memory have it"
        return "the store failed, and no journal has it: it ends with this process"

    def remember(self, grant: Grant) -> Grant:
        """Have a grant in memory alone, unless there is another; what there is."""
        if grant.seller_id not in self.grants:
            self._put(grant, in_memory_only=True)
        return self.grants[grant.seller_id]

    def _put(self, grant: Grant, *, in_memory_only: bool) -> None:
        self._drop(grant.seller_id)
        self.grants[grant.seller_id] = grant
        for seller_id in grant.seller_ids:
            self._found_by.setdefault(seller_id, set()).add(grant.seller_id)
        if in_memory_only:
            self._in_memory_only.add(grant.seller_id)

    def _drop(self, filed: str) -> None:
        grant = self.grants.pop(filed, None)
        for seller_id in () if grant is None else grant.seller_ids:
            self._found_by[seller_id].discard(filed)
            if not self._found_by[seller_id]:
                del self._found_by[seller_id]
        self._in_memory_only.discard(filed)

    async def require(self, grant: Grant) -> None:
        """Have a grant in memory and in the journal.

        Raises:
            StoreError: the journal failed, or there is none.
        """
        await self._append(grant)
        self._put(grant, in_memory_only=False)

    async def _append(self, grant: Grant) -> None:
        if self._journal is None:
            raise StoreError("there is no journal")
        await self._journal.append(to_record(grant, due_at=None))

    async def add(self, grant: Grant) -> None:
        """Have a grant in memory, and in the journal if that takes it."""
        try:
            await self.require(grant)
        except (OSError, StoreError) as failure:
            self._put(grant, in_memory_only=True)
            _log.critical("seller %s is in memory only: %s", grant.seller_id, failure)

    async def spill(self, grant: Grant, error: BaseException) -> None:
        """Have a grant that the store did not take, and say why that failed."""
        # Only our own words are known to hold no secret.
        said = error if isinstance(error, StoreError) else type(error).__name__
        _log.error("seller %s is not in the store, which failed: %s", grant.seller_id, said)
        await self.add(grant)

    async def save(self) -> None:
        """Try the journal once more for what it did not take; that was told of then."""
        for grant in self.in_memory_only:
            with suppress(OSError, StoreError):
                await self._append(grant)
                if self.grants.get(grant.seller_id) is grant:
                    self._in_memory_only.discard(grant.seller_id)

    async def discard(self, *grants: Grant) -> None:
        """Drop what is in the store by now, or superseded; later, where the journal fails."""
        try:
            await self.remove(*grants)
        except StoreError as failure:
            sellers = ", ".join(grant.seller_id for grant in grants)
            _log.warning("in the store, and in the journal: sellers %s: %s", sellers, failure)

    async def remove(self, *grants: Grant) -> None:
        """Drop what nobody is to find again.

        Raises:
            StoreError: the journal failed.
        """
        for grant in grants:
            if self.grants.get(grant.seller_id) is grant:
                self._drop(grant.seller_id)
        if self._journal is not None and grants:
            done = {grant.seller_id: partial(_is_settled, by=grant) for grant in grants}
            await self._journal.remove(self._scope, done)

    async def recover(self) -> None:
        """Take over what earlier processes could only write to the journal.

        What cannot be read costs no other seller: it stays in the journal, and is told of.

        Raises:
            StoreError: the journal fails, or lacks a key with which all that it holds can be had.
        """
        if self._journal is None:
            return
        found: dict[str, Grant] = {}
        for record in await self._journal.records():
            if record.scope == self._scope:
                try:
                    grant = from_record(record)
                except StoreError as error:
                    _log.error("in the journal, %s", error)
                    continue
                found[grant.seller_id] = _joined(found.get(grant.seller_id, grant), grant)
        for grant in found.values():
            if grant.seller_id not in self.grants:
                self._put(grant, in_memory_only=False)

    async def flush(self) -> list[Grant]:
        """Write to the store what it does not have yet; what is there now."""
        written: list[Grant] = []
        async with self._flushing:
            waiting, is_failing = list(self), False
            while waiting and not is_failing:
                page, waiting = waiting[:_PAGE], waiting[_PAGE:]
                settled: list[tuple[Grant, Grant | None]] = []
                while page and not is_failing:
                    is_failing = not await self._write(page[:FLUSH_MAX_IN_FLIGHT], settled)
                    page = page[FLUSH_MAX_IN_FLIGHT:]
                await self.discard(*(grant for grant, _ in settled))
                written += [grant for _, grant in settled if grant is not None]
            if is_failing:
                await self.save()
        return written

    async def _write(
        self, grants: Iterable[Grant], settled: list[tuple[Grant, Grant | None]]
    ) -> bool:
        """Add what is there now of each to ``settled``; whether the store works."""
        failures: list[StoreError] = []

        async def add(grant: Grant) -> None:
            try:
                settled.append((grant, await self._stored.add(grant)))
            except StoreError as error:
                if error.retryable:  # the store fails
                    failures.append(error)
            except Exception as error:  # noqa: BLE001 - one that cannot be written holds up no other
                _log.error("seller %s cannot be stored: %s", grant.seller_id, type(error).__name__)

        with anyio.move_on_after(_FLUSH_TIMEOUT) as patience:
            async with self.approvals, anyio.create_task_group() as tasks:
                for grant in grants:
                    if self.grants.get(grant.seller_id) is grant:
                        tasks.start_soon(add, grant)
        return not failures and not patience.cancelled_caught

    async def settle(self, seller_id: str) -> Grant | None:
        """Write to the store what it does not have of a seller; what is there now."""
        try:
            with anyio.fail_after(_FLUSH_TIMEOUT):
                async with self.approvals:
                    return await self._settle(seller_id)
        except TimeoutError as error:
            msg = f"the store took no token of seller {seller_id} in a minute"
            raise StoreError(msg, retryable=True) from error

    async def _settle(self, seller_id: str) -> Grant | None:
        waiting = self.grants.get(seller_id)
        if waiting is None:
            return await self._stored.get(seller_id)
        settled = await self._stored.add(waiting)
        await self.discard(waiting)
        return settled


class _Before(AsyncIterator[Grant]):
    def __init__(self, unpersisted: Iterable[Grant], stored: AsyncIterator[Grant]) -> None:
        self._waiting = deque(unpersisted)
        self._given = {
            seller_id: grant for grant in self._waiting for seller_id in grant.seller_ids
        }
        self._stored = stored

    async def __anext__(self) -> Grant:
        if self._waiting:
            return self._waiting.popleft()
        async for grant in self._stored:
            if (left := self._left(grant)) is not None:
                return left
        raise StopAsyncIteration

    def _left(self, grant: Grant) -> Grant | None:
        others = [
            self._given[seller_id] for seller_id in grant.seller_ids if seller_id in self._given
        ]
        is_given = any(other.epoch == grant.epoch for other in others)
        return None if is_given else without_reapproved(others, grant)


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
    return is_older or changed(grant, candidates=()) == changed(by, candidates=())
