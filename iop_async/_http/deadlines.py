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
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import anyio
import sniffio

LAST_LOOK: Final = 0.05
"""Seconds in which what has arrived is taken in once time is up."""

MAX_CATCH_UP: Final = 2.0
"""Seconds more than that where time was noticed to be up too late: much may have to be read."""


class Timers(Protocol):
    """The clock of one event loop."""

    cancel_scope: Callable[[], anyio.CancelScope]
    """What ``anyio.CancelScope`` makes there, without asking each time where that is."""

    def time(self) -> float:
        """Seconds, monotonic."""
        ...

    def call_at(self, moment: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back at ``moment``, unless what is returned is called before."""
        ...


def timers_here() -> Timers:
    """Those of the running event loop."""
    return _TrioTimers() if sniffio.current_async_library() == "trio" else _AsyncioTimers()


class _AsyncioTimers:
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time
        self.cancel_scope: Callable[[], anyio.CancelScope] = type(anyio.CancelScope())

    def call_at(self, moment: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self._loop.call_at(moment, callback).cancel


class _TrioTimers:
    def __init__(self) -> None:
        self._trio: Any = sys.modules["trio"]
        self.time: Callable[[], float] = self._trio.current_time
        self.cancel_scope: Callable[[], anyio.CancelScope] = type(anyio.CancelScope())

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


class Deadline:
    """Cancels what is done within it when time is up.

    Args:
        seconds: for all of it; ``None`` for ever.
        silence: what :meth:`expect` will be told as a rule: one timer then serves for both.

    Attributes:
        seconds: as given.
        passed: the limit that was reached: the ``total`` one or that of a ``read``.
    """

    def __init__(self, timers: Timers, seconds: float | None, silence: float | None = None) -> None:
        self._timers = timers
        self.seconds = seconds
        self._silence = silence
        self._scope = timers.cancel_scope()
        self._total_at = self._silence_at = self._rings_at = inf
        self._looked_at = -inf
        self._stop_timer: Callable[[], None] | None = None
        self.passed: Literal["total", "read"] | None = None

    def __enter__(self) -> Self:
        self._scope.__enter__()
        if self.seconds is not None:
            now = self._timers.time()
            self._total_at = now + self.seconds
            self._set_timer(now + min(self.seconds, self._silence or inf))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        if self._stop_timer is not None:
            self._stop_timer()
        return self._scope.__exit__(exc_type, exc, traceback)

    def cancel(self) -> None:
        """Cut it short now."""
        self._scope.cancel()

    def expect(self, seconds: float | None) -> None:
        """Wait so long for the next piece of an answer; ``None`` as long as there is time."""
        self._silence_at = inf if seconds is None else self._timers.time() + seconds
        if self._silence_at < self._rings_at:
            self._set_timer(self._silence_at)

    def _set_timer(self, moment: float) -> None:
        if self._stop_timer is not None:
            self._stop_timer()
        self._rings_at = moment
        self._stop_timer = self._timers.call_at(moment, self._ring)

    def _ring(self) -> None:
        self._stop_timer, self._rings_at = None, inf
        now = self._timers.time()
        end = min(self._total_at, self._silence_at)
        if now < end:  # something came meanwhile
            if end < inf:
                self._set_timer(end)
        elif end != self._looked_at:
            self._looked_at = end
            self._set_timer(now + LAST_LOOK + min(now - end, MAX_CATCH_UP))
        else:
            self.passed = "total" if end == self._total_at else "read"
            self._scope.cancel()
