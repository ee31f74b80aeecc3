"""Group commit: what is asked for while the last batch is under way is done in one go.

Nobody waits for a batch to fill up. Whoever comes first does its own work at once; those who come
meanwhile wait until that is done, and then the first of them does the work of all. One that takes
long, because it waits for a lock say, holds nobody up for longer than a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

from attrs import define, field

from ..._exceptions import StoreError

I = TypeVar("I")  # noqa: E741
R = TypeVar("R")

_HEAD_START: Final = 0.05
"""Seconds after which nobody waits any longer for those before."""

_BATCH_MAX: Final = 500
"""The most that is done in one go."""

_BATCH_BYTES: Final = 2**20
"""Bytes in one batch: servers bound what they take at once."""


@define(eq=False)
class _Job(Generic[I, R]):
    """Something to do, and what became of it; ``woken`` when it was done, or is to lead."""

    item: I = field(repr=False)
    woken: asyncio.Event = field(factory=asyncio.Event, init=False)
    is_begun: bool = field(default=False, init=False)
    has_handed_on: bool = field(default=False, init=False)
    outcome: R | StoreError | None = field(default=None, init=False, repr=False)


@define(eq=False, kw_only=True)
class GroupCommit(Generic[I, R]):
    """Does items by themselves while they come one by one, and in batches where they come faster.

    It has no task of its own: each item is done, or waited for, in the task that asks for it.

    Args:
        do_one: does one item.
        do_many: tries many; what became of each, and ``None`` for those to be done by themselves.
        group: what the items of one batch have in common.
        identity: what no two of them have in common.
        size: bytes of an item.
    """

    _do_one: Callable[[I], Awaitable[R]]
    _do_many: Callable[[Sequence[I]], Awaitable[Sequence[R | StoreError | None]]]
    _group: Callable[[I], Hashable]
    _identity: Callable[[I], Hashable]
    _size: Callable[[I], int]
    _waiting: list[_Job[I, R]] = field(factory=list, init=False)
    _is_under_way: bool = field(default=False, init=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False)

    async def do(self, item: I) -> R:
        """Have an item done."""
        self._bind_to_loop()
        job: _Job[I, R] = _Job(item)
        if self._is_under_way:
            await self._wait(job)
        if not job.is_begun:
            await self._lead(job)
        if isinstance(job.outcome, StoreError):
            raise job.outcome
        return await self._do_one(item) if job.outcome is None else job.outcome

    def _bind_to_loop(self) -> None:
        """Forget what was under way in another event loop, of a process that forked say."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._waiting, self._is_under_way = loop, [], False

    async def _wait(self, job: _Job[I, R]) -> None:
        self._waiting.append(job)
        try:
            await job.woken.wait()
        except asyncio.CancelledError:
            if job in self._waiting:
                self._waiting.remove(job)
            elif not job.is_begun:
                self._wake_next()  # it was to lead
            raise

    async def _lead(self, job: _Job[I, R]) -> None:
        """Do an item, and with it whatever waits and may be done with it."""
        self._is_under_way = True
        timer = asyncio.get_running_loop().call_later(_HEAD_START, self._hand_on, job)
        batch = self._batch(job)
        try:
            if len(batch) == 1:
                job.outcome = await self._do_one(job.item)
                return
            outcomes = await self._do_many([one.item for one in batch])
            for one, outcome in zip(batch, outcomes, strict=True):
                one.outcome = outcome
        finally:
            timer.cancel()
            self._hand_on(job)
            for one in batch:
                one.woken.set()

    def _batch(self, leader: _Job[I, R]) -> list[_Job[I, R]]:
        group, size = self._group(leader.item), self._size(leader.item)
        batch = {self._identity(leader.item): leader}
        left: list[_Job[I, R]] = []
        for job in self._waiting:
            length, identity = self._size(job.item), self._identity(job.item)
            fits = len(batch) < _BATCH_MAX and size + length <= _BATCH_BYTES
            if fits and identity not in batch and self._group(job.item) == group:
                batch[identity] = job
                size += length
            else:
                left.append(job)
        self._waiting = left
        for job in batch.values():
            job.is_begun = True
        return list(batch.values())

    def _hand_on(self, job: _Job[I, R]) -> None:
        if not job.has_handed_on:
            job.has_handed_on = True
            self._wake_next()

    def _wake_next(self) -> None:
        self._is_under_way = bool(self._waiting)
        if self._waiting:
            self._waiting.pop(0).woken.set()
