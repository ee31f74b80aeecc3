"""Admission control: who may begin, so that no crowd waits in a queue of the store's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

import anyio
from attrs import define


class Admission:
    """Lets so many in at a time: those that are urgent first, in the order in which they came.

    Whoever waits here holds nothing: no lease that would run out, no connection.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._urgent: dict[Hashable, anyio.Event] = {}
        self._others: dict[Hashable, anyio.Event] = {}

    @asynccontextmanager
    async def place(self, who: Hashable, *, is_urgent: bool = False) -> AsyncIterator[Place]:
        """Wait for a place, and have it until the end; ``who`` tells those that wait apart."""
        place = Place(self, who, is_urgent)
        try:
            await place.enter()
            yield place
        finally:
            place.leave()

    async def enter(self, who: Hashable, *, is_urgent: bool) -> None:
        """Return with a place; :meth:`leave` it then."""
        if self._free:
            self._free -= 1
            return
        queue = self._urgent if is_urgent else self._others
        admitted = queue[who] = anyio.Event()
        try:
            await admitted.wait()
        except BaseException:
            if admitted.is_set():
                self.leave()
            else:
                self._urgent.pop(who, None)
                self._others.pop(who, None)
            raise

    def leave(self) -> None:
        """Let the next one in."""
        queue = self._urgent or self._others
        if queue:
            queue.pop(next(iter(queue))).set()
        else:
            self._free += 1

    def hurry(self, who: Hashable) -> None:
        """It has become urgent."""
        if (waiting := self._others.pop(who, None)) is not None:
            self._urgent[who] = waiting


@define
class Place:
    """The place of somebody who was let in."""

    _admission: Admission
    _who: Hashable
    _is_urgent: bool
    _is_held: bool = False

    async def enter(self) -> None:
        """Wait for it."""
        await self._admission.enter(self._who, is_urgent=self._is_urgent)
        self._is_held = True

    def leave(self) -> None:
        """Let somebody else have it."""
        if self._is_held:
            self._is_held = False
            self._admission.leave()

    async def step_aside(self, seconds: float) -> None:
        """Wait for something else without it, and then for it."""
        self.leave()
        await anyio.sleep(seconds)
        await self.enter()
