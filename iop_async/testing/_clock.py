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
    """

    def __init__(self, start: datetime | None = None, *, speed: float = 1.0) -> None:
        self._start = start or datetime.now(UTC)
        self._began = monotonic()  # the machine's own time may be set meanwhile
        self._speed = speed
        self._moved = anyio.Event()

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._start + timedelta(seconds=(monotonic() - self._began) * self._speed)

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once; whoever sleeps until then wakes up."""
        self._start += timedelta(seconds=seconds)
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    async def sleep_until(self, moment: datetime) -> None:
        """Return at ``moment``, or at once where it is over."""
        while (left := (moment - self.now()).total_seconds()) > 0:
            with anyio.move_on_after(left / self._speed if self._speed else None):
                await self._moved.wait()
