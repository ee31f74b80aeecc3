"""The manager's clock: when it is, and waiting for a moment to come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol, runtime_checkable

import anyio

_LONGEST_SLEEP: Final = 30.0


@runtime_checkable
class Clock(Protocol):
    """Tells the time and waits for it; tests and demonstrations bring their own."""

    def now(self) -> datetime:
        """The time, aware UTC."""
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """Return at ``moment``, or at once where it is over."""
        ...


class SystemClock:
    """Real time. It looks again every 30 s, so that a suspended machine wakes up to the truth."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._now().astimezone(UTC)

    async def sleep_until(self, moment: datetime) -> None:
        """Wait in steps."""
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is no event
            await anyio.sleep(min(left, _LONGEST_SLEEP))
