"""Looks at a manager that runs, without touching it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import anyio
from attrs import evolve

from .._clock import Clock
from .._collect_errors import MapCollectingErrors
from .._exceptions import StoreError
from .._refresh import RefreshPolicy
from ..calling import Shut
from ._grant import Grant, refresh_at
from ._health import LATE, AtStake, Health, HeldUpBy, KeeperState, problems_of
from ._reports import SellerStatus, status_of
from ._running import Running
from ._survey import Surveyor
from ._vault import Vault

_STORE_TIMEOUT: Final = 5.0
"""Seconds that the store may take to answer a probe."""

_HELD_UP_BY: Final[dict[Shut | None, HeldUpBy | None]] = {
    None: None,
    Shut.BAN: "ban",
    Shut.OUTAGE: "outage",
    Shut.INCIDENT: "incident",
    Shut.APP: "app",
}


class Examiner:
    """Looks at a manager that runs."""

    def __init__(self, running: Running, vault: Vault, policy: RefreshPolicy, clock: Clock) -> None:
        self._running = running
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._surveyor = Surveyor(
            start_soon=partial(running.background.start_soon, drained=False),
            look=self.statuses,
            load=vault.load,
            clock=clock,
        )

    async def status(self, seller_id: str) -> SellerStatus:
        """The state of a seller's grant."""
        return self._status(await self._vault.find(seller_id, reload=True))

    async def unread(self, seller_id: str) -> tuple[str, ...]:
        """The answers to a seller's refreshes that nobody could read."""
        return (await self._vault.find(seller_id, reload=True)).unread

    def statuses(self) -> AsyncIterator[SellerStatus]:
        """The state of every grant, in no order."""
        return MapCollectingErrors(self._status, self._vault.all())

    def _status(self, grant: Grant) -> SellerStatus:
        return status_of(
            grant,
            self._policy.freshness(grant.token, self._clock.now()),
            refresh_at=refresh_at(grant, self._policy),
            is_persisted=self._vault.has_stored(grant),
            is_refreshing=grant.seller_id in self._running.flights,
        )

    @property
    def at_stake(self) -> AtStake:
        """What would be left behind, also while the manager ends and after that."""
        lost = (grant.seller_id for grant in self._vault.unpersisted.in_memory_only)
        return AtStake(tuple(self._running.flights.seller_ids), tuple(lost))

    async def health(self) -> Health:
        """How it is; the store is asked for a few rows."""
        survey = await self._surveyor.latest()
        store_error, next_due, nearest_death = "", None, None
        try:
            with anyio.fail_after(_STORE_TIMEOUT):
                next_due = await self._vault.next_due()
                nearest_death = await self._surveyor.nearest_death()
        except TimeoutError:
            store_error = f"the store did not answer within {_STORE_TIMEOUT:.0f} s"
        except StoreError as error:
            store_error = str(error)
        except Exception as error:  # noqa: BLE001 - somebody's store, whose words may hold secrets
            store_error = f"the store failed: {type(error).__name__}"
        now, unpersisted = self._clock.now(), self._vault.unpersisted
        health = Health(
            at=now,
            store_error=store_error,
            keeper=_keeper_state(self._running),
            unpersisted=len(unpersisted.grants),
            in_memory_only=len(unpersisted.in_memory_only),
            refreshing=len(self._running.flights.seller_ids),
            held_up_by=_HELD_UP_BY[self._running.presentations.gate.shut_by],
            overdue=0.0 if next_due is None else max((now - next_due).total_seconds(), 0.0),
            nearest_death=nearest_death,
            survey=survey,
        )
        return evolve(health, problems=tuple(problems_of(health)))


def _keeper_state(running: Running) -> KeeperState:
    if not running.keeper.is_keeping:
        return "off"
    return "stalled" if running.keeper.idle_seconds > LATE else "running"
