"""A clock that runs as fast as the gateway's."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta

import anyio

from ..._models import HttpRequest
from ..._transport import HttpxTransport


class FastClock:
    """Satisfies :class:`~iop_async.tokens.Clock`: ``speed`` seconds pass in one of the machine.

    Args:
        moment: what time it is now (aware).
    """

    def __init__(self, moment: datetime, speed: float) -> None:
        self._began = time.monotonic()
        self._moment = moment
        self.speed = speed

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._moment + timedelta(seconds=(time.monotonic() - self._began) * self.speed)

    async def sleep_until(self, moment: datetime) -> None:
        """Return at ``moment``, or at once where it is over."""
        while (left := (moment - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - time is no event
            await anyio.sleep(left / self.speed)


async def clock_of(http: HttpxTransport, panel: str) -> FastClock:
    """A clock that goes like that of the sandbox whose panel this is."""
    shown = json.loads((await http.send(HttpRequest("GET", f"{panel}clock"))).content)
    return FastClock(datetime.fromisoformat(shown["now"]), shown["speed"])
