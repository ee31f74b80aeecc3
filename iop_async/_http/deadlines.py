"""Deadlines that look once more at what has arrived before they cut anything short.

A process that stood still (stopped, moved to another host, starved of CPU) finds at one moment that
its time is over and that its answers lie in its sockets. What is in there may be the only copy of a
token pair, so time is never up before the sockets were read.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from math import inf
from time import monotonic
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import anyio
import sniffio

LAST_LOOK: Final = 0.05
"""Seconds in which what has arrived is taken in once time is up."""

MAX_CATCH_UP: Final = 2.0
"""Seconds more than that where time was noticed to be up too late: much may have to be read."""


class Scope(Protocol):
    """What ``anyio.CancelScope`` does, as far as it is needed here."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...

    def cancel(self) -> None:
        """Break off what is done within it."""
        ...


class Timers(Protocol):
    """The clock of one event loop."""

    cancel_scope: Callable[[], Scope]

    def time(self) -> float:
        """Seconds, monotonic."""
        ...

    def call_at(self, moment: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back at ``moment``, unless what is returned is called before."""
        ...


def timers_here() -> Timers:
    """Those of the running event loop."""
    return _TrioTimers() if sniffio.current_async_library() == "trio" else AsyncioTimers()


class AsyncioTimers:
    """Timers of the running event loop, which is asyncio's.

    Args:
        cancel_scope: by default anyio's own, without asking each time where that is.
    """

    def __init__(self, cancel_scope: Callable[[], Scope] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.time = monotonic
        self.cancel_scope: Callable[[], Scope] = cancel_scope or type(anyio.CancelScope())

    def call_at(self, moment: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._loop.call_later(moment - monotonic(), callback).cancel


class TaskScope:
    """A cancel scope of asyncio's, for what does not shield itself: a quarter of anyio's cost.

    What is cancelled is what the task waits for, and never an answer that is there already:
    ``asyncio.timeout`` would have the task forget that.
    """

    __slots__ = ("_before", "_is_delivered", "_is_left", "_task")

    def __enter__(self) -> Self:
        self._task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        self._before = self._task.cancelling()
        self._is_delivered = self._is_left = False
        return self

    def cancel(self) -> None:
        """Break it off, once the task waits for something that is not there yet."""
        if self._is_left or self._is_delivered:
            return
        waits_for = self._task._fut_waiter  # type: ignore[attr-defined]
        if waits_for is None or waits_for.done():
            asyncio.get_running_loop().call_soon(self.cancel)
        else:
            self._is_delivered = True
            self._task.cancel()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._is_left = True
        if not self._is_delivered:
            return None
        is_only_ours = self._task.uncancel() <= self._before
        return is_only_ours and exc_type is asyncio.CancelledError


class _TrioTimers:
    def __init__(self) -> None:
        self._trio: Any = sys.modules["trio"]
        self.time: Callable[[], float] = self._trio.current_time
        self.cancel_scope: Callable[[], Scope] = type(anyio.CancelScope())

    def call_at(self, moment: float, callback: Callable[[], None]) -> Callable[[], None]:
        scope = self._trio.CancelScope()

        async def ring() -> None:
            with scope:
                await self._trio.sleep_until(moment)
                callback()

        # trio's own deadlines do not ask anybody before they cancel
        self._trio.lowlevel.spawn_system_task(ring)
        cancel: Callable[[], None] = scope.cancel
        return cancel


class Deadlines:
    """Those of one event loop, which share a timer: one for each would cost more than its request.

    Args:
        silence: seconds that :meth:`Deadline.expect` will be told as a rule.

    Attributes:
        running: what is not over yet.
    """

    def __init__(self, timers: Timers, silence: float | None = None) -> None:
        self.timers = timers
        self.silence = silence or inf
        self.running: set[Deadline] = set()
        self._rings_at = inf
        self._stop_timer: Callable[[], None] | None = None

    def ring_at(self, moment: float) -> None:
        """Look at all of them at ``moment``, if not before."""
        if moment < self._rings_at:
            self.close()
            self._rings_at = moment
            self._stop_timer = self.timers.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._stop_timer, self._rings_at = None, inf
        now = self.timers.time()
        for deadline in tuple(self.running):
            if deadline.rings_at <= now:
                deadline.ring(now)
        self.ring_at(min((deadline.rings_at for deadline in self.running), default=inf))

    def close(self) -> None:
        """Stop the timer."""
        if self._stop_timer is not None:
            self._stop_timer()
            self._stop_timer, self._rings_at = None, inf


class Deadline:
    """Cancels what is done within it when time is up.

    Args:
        deadlines: those of the event loop.
        seconds: for all of it; ``None`` for ever.

    Attributes:
        seconds: as given.
        passed: the limit that was reached: the ``total`` one or that of a ``read``.
        rings_at: when to look whether time is up.
    """

    __slots__ = (
        "_deadlines",
        "_looked_at",
        "_scope",
        "_silence_at",
        "_total_at",
        "passed",
        "rings_at",
        "seconds",
    )

    def __init__(self, deadlines: Deadlines, seconds: float | None) -> None:
        self._deadlines = deadlines
        self.seconds = seconds
        self._scope = deadlines.timers.cancel_scope()
        self._total_at = self._silence_at = self.rings_at = inf
        self._looked_at = -inf
        self.passed: Literal["total", "read"] | None = None

    def __enter__(self) -> Self:
        self._scope.__enter__()
        deadlines = self._deadlines
        deadlines.running.add(self)
        if self.seconds is not None:
            now = deadlines.timers.time()
            self._total_at = now + self.seconds
            self.rings_at = now + min(self.seconds, deadlines.silence)
            deadlines.ring_at(self.rings_at)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._deadlines.running.discard(self)
        return self._scope.__exit__(exc_type, exc, traceback)

    def cancel(self) -> None:
        """Cut it short now."""
        self._scope.cancel()

    def expect(self, seconds: float | None) -> None:
        """Wait so long for the next piece of an answer; ``None`` as long as there is time."""
        self._silence_at = inf if seconds is None else self._deadlines.timers.time() + seconds
        if self._silence_at < self.rings_at:
            self.rings_at = self._silence_at
            self._deadlines.ring_at(self.rings_at)

    def ring(self, now: float) -> None:
        """Look whether time is up; what came meanwhile gets a moment to be read."""
        end = min(self._total_at, self._silence_at)
        if now < end:
            self.rings_at = end
        elif end != self._looked_at:
            self._looked_at = end
            self.rings_at = now + LAST_LOOK + min(now - end, MAX_CATCH_UP)
        else:
            self.passed = "total" if end == self._total_at else "read"
            self.rings_at = inf
            self._scope.cancel()
