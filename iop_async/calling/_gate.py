"""One gate for all requests of a kind: bans, outages, a circuit breaker, pacing, slow start."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from enum import Enum
from random import random
from sys import maxsize
from typing import Final

import anyio

from .._clock import Clock
from .._exceptions import IopError
from ._backoff import BAN_MARGIN, backoff
from ._turns import Turns

LONGEST_BAN: Final = 15 * 60.0
"""Seconds that an answer may shut a gate for, whatever it says."""

_SHORTEST_BAN: Final = 1.0
_BAN_GROWTH: Final = 0.25
"""Seconds of a ban whose length is not said, and the share of what it has lasted that is waited for
more: its end is noticed soon after a short one, and a long one is asked about seldom."""

_WAITED_FOR: Final = 60.0
"""Seconds of a ban that are waited for in line; of a longer one its error tells."""

_LONGEST_BREAK: Final = 60.0
"""Seconds between two probes while nothing gets through, so that an end is noticed within them."""

_PACE: Final = 0.9
"""Share of the rate that passed before a ban which is let through after it."""

_RAMP: Final = 10.0
_RAMP_FACTOR: Final = 1.1
"""Every so many seconds without a ban a paced gate lets through so much more."""

_RECOVERY_FACTOR: Final = 2.0
"""After an outage it does so faster: nothing is known of a limit."""

_FIRST_WINDOW: Final = 4
_WINDOW_GROWTH: Final = 4
_WINDOW_PER_SECOND: Final = 5
"""Slow start: requests in flight at first, successes for which one more is let in, and how many
more in a second, since answers may be slow. A limit that bans is thus met by few."""


class Shut(Enum):
    """Why a gate is shut."""

    BAN = "ban"
    """The other side named an end: those in line wait for it."""

    OUTAGE = "outage"
    """Nothing got through: one probe at a time finds out when something does."""

    INCIDENT = "incident"
    """Refusals that are not believed; probed alike."""

    APP = "app"
    """True of every caller alike (secret, key, address, clock): a circuit breaker."""


class Gate:
    """Lets requests through, in order; shut while they could only fail.

    Times are monotonic: a host whose clock is set neither opens nor shuts a gate.

    Args:
        clock: tells the time and waits for it.
        limit: requests in flight at a time; ``None`` for any number.
        per_second: requests begun in a second; ``None`` for any number.
        is_slow_at_first: begin with few in flight, as after a ban.
        recovers_at: requests begun in a second when something gets through again after an outage:
            all who waited come at once then; ``None`` for any number.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        limit: int | None,
        per_second: float | None = None,
        is_slow_at_first: bool = True,
        recovers_at: float | None = None,
    ) -> None:
        self._clock = clock
        self._limit = maxsize if limit is None else limit
        self._least_interval = 1 / per_second if per_second else 0.0
        self._recovery_interval = 1 / recovers_at if recovers_at else 0.0
        self._in_flight = 0
        self._accepted = 0
        self._began: float | None = None if is_slow_at_first else float("-inf")
        self._lately: deque[float] = deque(maxlen=1000)
        self._reason: Shut | None = None
        self.error: IopError | None = None
        self._until = 0.0
        self._banned_at: float | None = None
        self._failures = 0
        self._interval = 0.0
        self._next = 0.0
        self._ramp_at = 0.0
        self._ramp_factor = _RAMP_FACTOR
        self._turns = Turns()
        self._freed = anyio.Event()

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._turns.waiting

    @property
    def is_open(self) -> bool:
        """Nothing waits, and nothing would have to; what it was shut for is over for a while."""
        is_busy = self._turns.waiting or self._reason is not None
        return not is_busy and self._clock.monotonic() >= max(self._next, self._ramp_at)

    @property
    def is_idle(self) -> bool:
        """It is open, and nothing is in flight."""
        return not self._in_flight and self.is_open

    @property
    def seconds_left(self) -> float:
        """Seconds until the gate lets something through again; 0 where it does now."""
        return max(self._until - self._clock.monotonic(), 0.0) if self._reason else 0.0

    @property
    def room(self) -> int:
        """Requests that may be begun now: none, one probe, or as many as are let in flight."""
        if self._reason is None:
            return self._limit
        return 0 if self.seconds_left or self._in_flight else 1

    @property
    def shut_by(self) -> Shut | None:
        """Why it is shut, or open for a probe alone; ``None`` where it is open."""
        return self._reason

    def require_passable(self, *, by_hand: bool = False) -> None:
        """Raises the error that shut the gate, where no waiting in line would help."""
        if self.error is None or self._reason is None:
            return
        if self._reason is Shut.BAN:
            is_shut = self.seconds_left > _WAITED_FOR
        elif by_hand and self._reason is not Shut.APP:
            is_shut = False
        else:
            is_shut = self.seconds_left > 0
        if is_shut:
            error = self.error.with_traceback(None)
            error.retry_after = self.seconds_left
            raise error

    @asynccontextmanager
    async def passage(
        self, *, by_hand: bool = False, party: Hashable = None
    ) -> AsyncIterator[None]:
        """Wait for one's turn, and be in flight until the end; arguments as of :meth:`enter`.

        Raises:
            IopError: the error that shut the gate, where no waiting in line would help.
        """
        await self.enter(by_hand=by_hand, party=party)
        try:
            yield
        finally:
            self.leave()

    async def enter(self, *, by_hand: bool = False, party: Hashable = None) -> None:
        """Wait for one's turn; :meth:`leave` afterwards.

        Args:
            by_hand: somebody asks for it, so that an outage does not hold it up.
            party: whose request it is: the turns go round between parties.
        """
        await self._turns.acquire(party)
        try:
            await self._enter(by_hand=by_hand)
        finally:
            self._turns.release()

    def leave(self) -> None:
        """The request has an answer, or will have none."""
        self._in_flight -= 1
        self._wake()

    def go_ahead(self, count: int) -> None:
        """Count so many calls that wait for no turn."""
        interval = max(self._interval, self._least_interval)
        self._next = max(self._clock.monotonic(), self._next) + count * interval

    async def _enter(self, *, by_hand: bool) -> None:
        while True:
            self.require_passable(by_hand=by_hand)
            now = self._clock.monotonic()
            is_paced = by_hand and self._reason not in (None, Shut.BAN)
            self._began = now if self._began is None else self._began
            wait = 0.0 if is_paced else max(self._until if self._reason else 0.0, self._next) - now
            if wait > 0:
                await self._clock.sleep(wait)
            elif self._in_flight < self._window or is_paced:
                self._in_flight += 1
                self._next = now + max(self._interval, self._least_interval)
                return
            else:
                self._freed = anyio.Event()
                with anyio.move_on_after(1 / _WINDOW_PER_SECOND):
                    await self._freed.wait()

    @property
    def _window(self) -> float:
        if self._reason not in (None, Shut.BAN):
            return 1
        seconds = self._clock.monotonic() - (self._began or 0.0)
        grown = self._accepted // _WINDOW_GROWTH + max(seconds, 0.0) * _WINDOW_PER_SECOND
        return min(_FIRST_WINDOW + grown, self._limit)

    def _wake(self) -> None:
        self._freed.set()

    def accept(self) -> bool:
        """Something got through; whether that ended what the gate was shut for."""
        now, was_shut_by = self._clock.monotonic(), self._reason
        if was_shut_by not in (None, Shut.BAN) and self._recovery_interval:
            self._pace(max(self._interval, self._recovery_interval), _RECOVERY_FACTOR, now)
        if self._reason is not Shut.BAN or now >= self._until:
            self._reason, self.error, self._failures, self._banned_at = None, None, 0, None
        self._accepted += 1
        self._lately.append(now)
        if self._interval and now >= self._ramp_at:
            self._pace(self._interval / self._ramp_factor, self._ramp_factor, now)
        self._wake()
        return was_shut_by is not None and self._reason is None

    def ban(self, error: IopError, seconds: float | None) -> None:
        """Shut until a ban is over, and let through after it what passed before it.

        Args:
            seconds: how long it lasts; ``None`` where that is not said.
        """
        now = self._clock.monotonic()
        self._banned_at = now if self._banned_at is None else self._banned_at
        if seconds is None:
            lasted = now - self._banned_at
            seconds = max(_SHORTEST_BAN, lasted * _BAN_GROWTH) * (1 + random() / 5)
        until = now + min(max(seconds, 0.0), LONGEST_BAN) + BAN_MARGIN
        if self._reason is not Shut.BAN or now >= self._until:  # its first refusal
            self._accepted, self._began = 0, until
            interval = self._interval
            if self._lately:
                passed = sum(1 for moment in self._lately if moment > now - 1.0)
                paced = 1 / interval if interval else float(maxsize)
                interval = 1 / (min(max(passed, 1.0), paced) * _PACE)
            self._pace(interval, _RAMP_FACTOR, until)
        self._shut(Shut.BAN, error, max(until, self._until))

    def _pace(self, interval: float, factor: float, now: float) -> None:
        self._interval, self._ramp_factor, self._ramp_at = interval, factor, now + _RAMP

    def fail(self, reason: Shut, error: IopError) -> None:
        """Shut for a while, longer with every time, and then let one probe through."""
        if self._reason is Shut.BAN and self.seconds_left:
            return
        if self._reason is reason and self.seconds_left:
            return  # of those that were in flight when it shut
        longest = _LONGEST_BREAK
        wait = backoff(self._failures, random(), longest=longest)
        self._failures += 1
        self._shut(reason, error, self._clock.monotonic() + wait)

    def _shut(self, reason: Shut, error: IopError, until: float) -> None:
        self._reason, self.error, self._until = reason, error, until
        self._wake()
