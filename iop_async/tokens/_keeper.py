"""The keeper: one task that refreshes what falls due, however many sellers there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final

import anyio

from .._clock import Clock
from .._exceptions import IopError
from ._grant import LATEST_RETRY, Grant
from ._presentations import Presentations
from ._reminders import STEP, ClockSteps
from ._single_flight import Background, SingleFlight
from ._vault import Vault

_MAX_PAUSE: Final = 10.0
"""Seconds between two looks at the store at most: other hosts write there."""

_SWEEP: Final = 1_000
"""Grants that are looked at then, ordered by expiry, earliest first."""

_RETRY_MIN: Final = 0.1
_RETRY_MAX: Final = 10.0
"""Seconds after an error: a store that is locked for a moment must not cost more than that."""


class Keeper:
    """Asks the store what is due next, and renews as much at a time as may be under way.

    What the store did not take before it writes there.

    Args:
        presentations: their gate is shut while refreshes could only fail, and they know whose
            refresh is to be tried again at once.
        retry: tries that.
        renew_or_warn: does what a claimed grant is due.
        capacity: grants renewed to at a time.
        pause: seconds between two looks at least, when nothing was found: leases end by the
            store's clock, which may differ.
        on_error: told of every error that is no failed refresh.
    """

    def __init__(
        self,
        vault: Vault,
        background: Background,
        flights: SingleFlight,
        presentations: Presentations,
        *,
        retry: Callable[[str], Awaitable[Grant]],
        renew_or_warn: Callable[[Grant], Awaitable[Grant]],
        clock: Clock,
        capacity: int,
        pause: float,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._vault = vault
        self._background = background
        self._flights = flights
        self._presentations = presentations
        self._gate = presentations.gate
        self._retry = retry
        self._renew_or_warn = renew_or_warn
        self._clock = clock
        self._capacity = capacity
        self._pause = pause
        self._on_error = on_error
        self._renewing = 0
        self._stopped = False
        self._is_flushing = False
        self._looked_at = clock.monotonic()
        self._news = anyio.Event()
        self._steps = ClockSteps(clock)

    def wake(self) -> None:
        """Look again now: something may be due earlier than was thought."""
        self._news.set()

    @property
    def is_keeping(self) -> bool:
        """Whether it refreshes at all: a follower's does not, nor one that was stopped."""
        return self._capacity > 0 and not self._stopped

    @property
    def idle_seconds(self) -> float:
        """How long ago it has looked at the store the last time, without an error."""
        return self._clock.monotonic() - self._looked_at

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped = True

    async def run(self) -> None:
        """Keep, until cancelled. An error is reported and does not end it."""
        failures = 0
        while True:
            self._news = anyio.Event()
            try:
                is_done = await self._round()
                self._looked_at = self._clock.monotonic()
                if is_done:
                    await self._wait()
                failures = 0
            except Exception as error:  # noqa: BLE001 - the keeper outlives whatever goes wrong
                self._on_error(error)
                failures += 1
                await anyio.sleep(min(_RETRY_MIN * 2 ** min(failures, 10), _RETRY_MAX))

    async def _round(self) -> bool:
        """Claim and start what is due; whether there is nothing more to start now."""
        if self._stopped:
            return True
        self._flush_soon()
        for seller_id, _ in self._presentations.take_postponed(self._room):
            self._start(seller_id, partial(self._retry, seller_id))
        room = self._room
        if room <= 0:
            return True
        behind = self._set_back_by()
        due_by = self._clock.now() + behind
        claimed = await self._vault.claim(due_by=due_by, limit=_SWEEP if behind else room)
        for grant in claimed:
            self._start(grant.seller_id, partial(self._renew_or_warn, grant))
        return len(claimed) < room

    def _flush_soon(self) -> None:
        if self._vault.unpersisted.grants and not self._is_flushing:
            self._is_flushing = True
            self._background.start_soon(self._flush, drained=False)

    async def _flush(self) -> None:
        try:
            for grant in await self._vault.flush():
                self._vault.cache.update(grant)
        finally:
            self._is_flushing = False

    @property
    def _room(self) -> int:
        """Refreshes that may be begun now."""
        room = self._capacity - self._renewing
        if self._gate.shut_by is not None:
            room = min(room, self._gate.room)
        return max(room, 0)

    def _start(self, seller_id: str, work: Callable[[], Awaitable[Grant]]) -> None:
        if seller_id not in self._flights:
            self._renewing += 1
            self._flights.join(seller_id, partial(self._count, work))

    async def _count(self, work: Callable[[], Awaitable[Grant]]) -> Grant:
        try:
            return await work()
        except IopError:  # it was announced
            raise
        except Exception as error:
            self._on_error(error)
            raise
        finally:
            self._renewing -= 1
            if self._renewing <= self._capacity // 2:
                self._news.set()

    def _set_back_by(self) -> timedelta:
        """What was written before the clock was set back falls due by so much too late."""
        stepped = self._steps.look()
        return timedelta(seconds=-stepped) + LATEST_RETRY if stepped < -STEP else timedelta(0)

    async def _wait(self) -> None:
        """Until something is due, somebody wakes the keeper, or a while is over."""
        seconds = _MAX_PAUSE
        if self._renewing < self._capacity and (due := await self._vault.next_due()) is not None:
            seconds = min(seconds, max((due - self._clock.now()).total_seconds(), 0.0))
        if self._gate.shut_by is not None:
            seconds = min(max(seconds, self._gate.seconds_left), _MAX_PAUSE)
        async with anyio.create_task_group() as tasks:

            async def alarm() -> None:
                await anyio.sleep(self._pause)
                await self._clock.sleep(seconds)
                self._news.set()

            tasks.start_soon(alarm)
            await self._news.wait()
            tasks.cancel_scope.cancel()
