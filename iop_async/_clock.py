"""The manager's clock: when it is, how much time has passed, and waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, runtime_checkable

import anyio


@runtime_checkable
class Clock(Protocol):
    """Tells the time and waits for it; tests and demonstrations bring their own.

    Example::

        from iop_async.testing import MovableClock

        clock = MovableClock()
        assert isinstance(clock, iop.tokens.Clock)
        manager = iop.TokenManager(client, store, clock=clock)
    """

    def now(self) -> datetime:
        """The time, aware UTC. Whoever sets the host's clock moves it, in either direction."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, which only grow, whoever sets the clock."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        ...


class SystemClock:
    """Real time, by ``now``; what has passed includes the time in which the host was suspended.

    Example::

        clock = iop.tokens.SystemClock(client.now)
        manager = iop.TokenManager(client, store, clock=clock)
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._now().astimezone(UTC)

    def monotonic(self) -> float:
        """Seconds since the host was started, where it can tell."""
        return _monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)


_monotonic: Callable[[], float] = time.monotonic
# Linux's stands still while the host is suspended, and what was due meanwhile is.
if hasattr(time, "CLOCK_BOOTTIME"):
    _monotonic = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
