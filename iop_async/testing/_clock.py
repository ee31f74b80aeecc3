"""A clock that tests move, so that thirty days pass without waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic

import anyio


class MovableClock:
    """Satisfies :class:`~iop_async.tokens.Clock`; hand ``now`` to clients and sandboxes too.

    Args:
        start: the time to begin at (aware); that of the machine by default. Time passes by itself
            as well, at ``speed`` seconds a second.

    Example::

        from iop_async.testing import MovableClock

        clock = MovableClock(datetime(2026, 1, 1, tzinfo=UTC), speed=0)
        clock.advance(30 * 86400)
        assert clock.now() == datetime(2026, 1, 31, tzinfo=UTC)
    """

    def __init__(self, start: datetime | None = None, *, speed: float = 1.0) -> None:
        self._start = start or datetime.now(UTC)
        self._began = monotonic()  # the machine's own time may be set meanwhile
        self._speed = speed
        self._passed = 0.0
        self._moved = anyio.Event()

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds that have passed since the clock was made."""
        return self._passed + (monotonic() - self._began) * self._speed

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once; whoever sleeps until then wakes up."""
        self._passed += seconds
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    def set_by(self, seconds: float) -> None:
        """Set the clock forward, or back by less than 0; no time passes by that."""
        self._start += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed."""
        until = self.monotonic() + seconds
        while (left := until - self.monotonic()) > 0:
            with anyio.move_on_after(left / self._speed if self._speed else None):
                await self._moved.wait()
