"""The keeper: one task that refreshes what falls due, however many sellers there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final

import anyio

from .._exceptions import IopError
from ._clock import Clock
from ._flights import Flights
from ._gate import Gate
from ._grants import Grant
from ._vault import Vault

_LOOK_AGAIN: Final = timedelta(seconds=10)
"""Between two looks at the store at most: other hosts write there."""

_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 10.0
"""Seconds after an error: a store that is locked for a moment must not cost more than that."""


class Keeper:
    """Asks the store what is due next, and tends to as much at a time as may be under way.

    Args:
        gate: shut while the gateway refuses the app.
        tend: does what a claimed grant is due.
        capacity: grants tended to at a time.
        pause: seconds between two looks at least, when nothing was found: leases end by the
            store's clock, which may differ.
        on_error: told of every error that is no failed refresh.
        on_grant: told of every grant that the store did not take before.
    """

    def __init__(
        self,
        vault: Vault,
        flights: Flights,
        gate: Gate,
        *,
        tend: Callable[[Grant], Awaitable[Grant]],
        clock: Clock,
        capacity: int,
        pause: float,
        on_error: Callable[[Exception], None],
        on_grant: Callable[[Grant], None],
    ) -> None:
        self._vault = vault
        self._flights = flights
        self._gate = gate
        self._tend = tend
        self._clock = clock
        self._capacity = capacity
        self._pause = pause
        self._on_error = on_error
        self._on_grant = on_grant
        self._tended = 0
        self._stopped = False
        self._news = anyio.Event()

    def wake(self) -> None:
        """Look again now: something may be due earlier than was thought."""
        self._news.set()

    def stop(self) -> None:
        """Start nothing more."""
        self._stopped = True

    async def run(self) -> None:
        """Keep, until cancelled. An error is reported and does not end it."""
        failures = 0
        while True:
            self._news = anyio.Event()
            try:
                if await self._round():
                    await self._wait()
                failures = 0
            except Exception as error:  # noqa: BLE001 - the keeper outlives whatever goes wrong
                self._on_error(error)
                failures += 1
                await anyio.sleep(min(_FIRST_PAUSE * 2 ** min(failures, 10), _LAST_PAUSE))

    async def _round(self) -> bool:
        """Claim and start what is due; whether there is nothing more to start now."""
        for grant in await self._vault.flush():
            self._on_grant(grant)
        room = self._capacity - self._tended
        if room <= 0 or self._stopped or not self._gate.is_open(self._clock.now()):
            return True
        claimed = await self._vault.claim(due_by=self._clock.now(), limit=room)
        for grant in claimed:
            if grant.seller not in self._flights:
                self._tended += 1
                self._flights.join(grant.seller, partial(self._count, grant))
        return len(claimed) < room

    async def _count(self, grant: Grant) -> Grant:
        try:
            return await self._tend(grant)
        except IopError:  # it was announced
            raise
        except Exception as error:
            self._on_error(error)
            raise
        finally:
            self._tended -= 1
            if self._tended <= self._capacity // 2:
                self._news.set()

    async def _wait(self) -> None:
        """Until something is due, somebody wakes the keeper, or a while is over."""
        moments = [self._clock.now() + _LOOK_AGAIN]
        if self._tended < self._capacity and (due := await self._vault.next_due()) is not None:
            moments.append(due)
        if (until := self._gate.until) is not None:
            moments = [max(min(moments), until)]
        async with anyio.create_task_group() as tasks:

            async def alarm() -> None:
                await anyio.sleep(self._pause)
                await self._clock.sleep_until(min(moments))
                self._news.set()

            tasks.start_soon(alarm)
            await self._news.wait()
            tasks.cancel_scope.cancel()
