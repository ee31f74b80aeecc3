"""What a manager has from entering to leaving, in one process: tasks, and what they share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from typing import Final

import anyio

from .._exceptions import IopError
from ._background import Background
from ._cache import Cache
from ._clock import Clock
from ._flights import Flight, Flights, Work
from ._grants import Grant
from ._keeper import Keeper
from ._refresher import Refresher
from ._vault import Vault

_log = logging.getLogger("iop_async.tokens")

_LAST_TRY: Final = 5.0
"""Seconds for the store to take, in the end, what it did not take before."""


class Running:
    """Flights, a keeper, and the task that lengthens the leases of flights that take long.

    Args:
        capacity: grants that the keeper tends to at a time; with 0 it only writes to the store
            what that did not take before.
        lease_seconds: how long a lease lasts unless it is lengthened.
        on_error: told of every error that is no failed refresh.
        on_failure: told of every seller whose refresh failed when it was due, and why.
    """

    def __init__(
        self,
        refresher: Refresher,
        vault: Vault,
        cache: Cache,
        *,
        clock: Clock,
        capacity: int,
        lease_seconds: float,
        on_error: Callable[[Exception], None],
        on_failure: Callable[[str, IopError], None],
    ) -> None:
        self._process = os.getpid()
        self._vault = vault
        self._cache = cache
        self._on_failure = on_failure
        self._lease_seconds = lease_seconds
        self._on_error = on_error
        self._background = Background(on_error)
        self.refresher = refresher
        self.flights = Flights(self._background)
        self.keeper = Keeper(
            vault,
            self.flights,
            refresher.gate,
            tend=self.tend,
            clock=clock,
            capacity=capacity,
            pause=lease_seconds / 20,
            on_error=on_error,
            on_grant=cache.update,
        )

    async def tend(self, grant: Grant) -> Grant:
        """Do what a claimed grant is due; what is in memory follows."""
        try:
            tended = await self.refresher.tend(grant)
        except IopError as error:
            self._on_failure(grant.seller, error)
            raise
        self._cache.update(tended)
        return tended

    def fly(self, work: Work) -> Flight:
        """Do work that its caller may stop to wait for, and that goes on all the same."""
        flight = Flight()
        self._background.spawn(partial(flight.fly, work))
        return flight

    @property
    def is_here(self) -> bool:
        """Whether it runs: a fork takes no tasks along, and an event loop ends those it has."""
        return self._process == os.getpid() and self._background.is_alive

    async def start(self) -> None:
        """Start the tasks."""
        await self._background.start()
        self._background.spawn(self.keeper.run, drained=False)
        self._background.spawn(self._lengthen_leases, drained=False)

    async def _lengthen_leases(self) -> None:
        leases = self._vault.leases
        while True:
            await anyio.sleep(self._lease_seconds / 6)
            async with anyio.create_task_group() as tasks:  # one by one, the last might be too late
                for seller in filter(leases.is_aging, self.flights.sellers):
                    tasks.start_soon(self._lengthen, seller)

    async def _lengthen(self, seller: str) -> None:
        try:
            with anyio.move_on_after(self._lease_seconds / 3):  # a hanging store holds up no other
                await self._vault.leases.lengthen(seller)
        except Exception as error:  # noqa: BLE001 - the other leases are still to be lengthened
            self._on_error(error)

    async def aclose(self, drain_seconds: float) -> None:
        """Let flights land within ``drain_seconds``; then stop."""
        self.keeper.stop()
        with anyio.CancelScope(shield=True):  # a spent refresh token's answer would be lost
            if not await self._background.drain(drain_seconds):
                left = ", ".join(sorted(self.flights.sellers))
                _log.warning("closed before these refreshes had an answer: %s", left)
            await self._background.aclose()
            try:
                with anyio.move_on_after(_LAST_TRY):
                    await self._vault.flush()
            except Exception as error:  # noqa: BLE001 - whatever it is, this is the end
                self._on_error(error)
