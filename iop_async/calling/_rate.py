"""A rate limiter that calls and refreshes share."""

from __future__ import annotations

import anyio


class RateLimiter:
    """Lets so many through in a second, evenly spaced; ``None`` lets all through."""

    def __init__(self, per_second: float | None) -> None:
        if per_second is not None and not per_second > 0:
            msg = f"rate is {per_second} calls a second; give more than 0, or None for no limit"
            raise ValueError(msg)
        self._interval = 0.0 if per_second is None else 1 / per_second
        self._next = 0.0

    async def wait(self) -> None:
        """Return when it is one's turn, first come, first served."""
        if not self._interval:
            return
        now = anyio.current_time()
        turn = max(now, self._next)
        self._next = turn + self._interval
        if turn > now:
            await anyio.sleep(turn - now)
