"""The exchanges of a transport in one event loop: so many at a time, each within its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import inf
from typing import Final, Protocol

import anyio
from attrs import define, field

from .._exceptions import TransportError, TransportTimeout
from .._wire import HttpResponse, Lane
from .deadlines import Deadline, Deadlines, Timers
from .failures import PoolTimeout, QueueFull, forget_frames, translate
from .messages import Outgoing, ReceivedAnswer
from .streams import CLOSE_TIMEOUT

RESERVED: Final = 8
"""Slots that calls never take, where there are many."""

_SLOTS: Final[dict[Lane, tuple[Lane, ...]]] = {"calls": ("calls",), "tokens": ("calls", "tokens")}
"""Those that a request of a lane may have, in the order in which it takes them."""


class Route(Protocol):
    """A way to the gateway and back."""

    async def carry(self, outgoing: Outgoing) -> ReceivedAnswer:
        """One exchange. Raises what the library below raises."""
        ...

    async def aclose(self) -> None:
        """Close what it opened itself."""
        ...


class Exchanges:
    """Carries requests over one route, each within its slot and its time.

    Args:
        timeouts: seconds by phase.
        timers: those of the running event loop.
    """

    def __init__(
        self,
        route: Route,
        slots: Slots,
        timeouts: Mapping[str, float | None],
        timers: Timers,
    ) -> None:
        self.route = route
        self.slots = slots
        self.deadlines = Deadlines(timers, timeouts["read"])
        self._timeouts = timeouts
        self._total = timeouts["total"]
        self._drained: anyio.Event | None = None

    async def exchange(self, outgoing: Outgoing) -> HttpResponse:
        """One exchange. Raises :class:`TransportError` or :class:`ProtocolError`."""
        seconds = None if outgoing.streams else self._total
        if outgoing.timeout:
            seconds = min(seconds or inf, outgoing.timeout)
        deadline = Deadline(self.deadlines, seconds)
        try:
            with deadline:
                outgoing.expect = deadline.expect
                try:
                    slot = self.slots.take(outgoing.lane)
                    slot = slot or await self.slots.acquire(outgoing.lane)
                    try:
                        answer = await self.route.carry(outgoing)
                    finally:
                        self.slots.release(slot)
                except Exception as exc:
                    failure = translate(exc, outgoing, self._timeouts)
                    if failure is None:
                        raise
                    forget_frames(exc)
                    raise failure from exc
                return answer.response(lambda: outgoing.where)
        finally:
            if self._drained is not None and not self.deadlines.running:
                self._drained.set()
        raise self._cut_short(outgoing, deadline)

    def _cut_short(self, outgoing: Outgoing, deadline: Deadline) -> TransportError:
        error: type[TransportError] = TransportTimeout
        if deadline.passed == "read":
            words = f"no answer, or no more of it, within {self._timeouts['read']} s"
        elif deadline.passed == "total":
            words = f"no complete answer within {round(deadline.seconds or 0.0, 3)} s"
        else:
            error, words = TransportError, "the transport was closed meanwhile"
        failure = error(
            f"{outgoing.where}: {words}",
            may_have_been_applied=outgoing.begun,
            content=outgoing.received,
        )
        failure.retryable = deadline.passed is not None  # what was closed stays so
        return failure

    async def aclose(self) -> None:
        """Break off what is under way, and close the route."""
        for deadline in tuple(self.deadlines.running):
            deadline.cancel()
        if self.deadlines.running:
            self._drained = self._drained or anyio.Event()
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await self._drained.wait()
        self.deadlines.close()
        await self.route.aclose()


@define(eq=False)
class _Waiter:
    served: anyio.Event = field(factory=anyio.Event)
    slot: Lane | None = None


class Slots:
    """Lends slots, each to one request at a time.

    A refresh must not wait behind calls that hang: a few slots are for requests for tokens alone,
    which take those of calls too where one is free.

    Args:
        calls: for calls.
        tokens: for requests for tokens, beside those.
        wait: seconds that a request waits for one; ``None`` for ever.
        max_waiting: calls that wait at a time.
    """

    def __init__(self, calls: int, tokens: int, *, wait: float | None, max_waiting: int) -> None:
        self._wait = wait
        self._max_waiting = max_waiting
        self.free: dict[Lane, int] = {"calls": calls, "tokens": tokens}
        self.waiting: dict[Lane, deque[_Waiter]] = {"calls": deque(), "tokens": deque()}

    def take(self, lane: Lane) -> Lane | None:
        """A slot that is free, named by the lane that it belongs to; give it to :meth:`release`."""
        for slot in _SLOTS[lane]:
            if self.free[slot]:
                self.free[slot] -= 1
                return slot
        return None

    async def acquire(self, lane: Lane) -> Lane:
        """As :meth:`take`; where none is free, wait for one.

        Raises:
            PoolTimeout: none came free in time.
            QueueFull: too many calls wait already.
        """
        if slot := self.take(lane):
            return slot
        queue = self.waiting[lane]
        if lane == "calls" and len(queue) >= self._max_waiting:
            msg = (
                f"{len(queue)} calls wait for a connection; start fewer at a time, "
                "or raise max_connections or max_waiting"
            )
            raise QueueFull(msg)
        waiter = _Waiter()
        queue.append(waiter)
        try:
            with anyio.move_on_after(self._wait):
                await waiter.served.wait()
        except BaseException:
            if waiter.slot is not None:
                self.release(waiter.slot)
            raise
        finally:
            if waiter.slot is None:
                queue.remove(waiter)
        if waiter.slot is None:
            raise PoolTimeout
        return waiter.slot

    def release(self, slot: Lane) -> None:
        """Take a slot back, and lend it to whoever has waited longest: tokens before calls."""
        for lane in ("tokens", "calls"):
            if self.waiting[lane] and slot in _SLOTS[lane]:
                waiter = self.waiting[lane].popleft()
                waiter.slot = slot
                waiter.served.set()
                return
        self.free[slot] += 1


def reserved(max_connections: int) -> int:
    """How many slots are for tokens alone beside, or out of, so many."""
    return max(1, min(RESERVED, max_connections // 4))
