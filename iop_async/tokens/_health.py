"""Whether a manager does its work, for probes, metrics and those who are called at night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Final, Literal, TypeAlias

import anyio
from attrs import evolve, frozen

from .._clock import Clock
from .._exceptions import StoreError
from ..calling import Shut
from ._running import Running
from ._survey import Survey, Surveyor
from ._vault import Vault

_STORE_TIMEOUT: Final = 5.0
"""Seconds that the store may take to answer a probe."""

_LATE: Final = 300.0
"""Seconds that a refresh may be overdue, and the keeper without a look at the store."""

KeeperState: TypeAlias = Literal["running", "stalled", "off"]
HeldUpBy: TypeAlias = Literal["ban", "outage", "incident", "app"]

_HELD_UP_BY: Final[dict[Shut | None, HeldUpBy | None]] = {
    None: None,
    Shut.BAN: "ban",
    Shut.OUTAGE: "outage",
    Shut.INCIDENT: "incident",
    Shut.APP: "app",
}


@frozen(kw_only=True)
class Health:
    """How a token manager is, without any secret.

    Attributes:
        at: when it was asked (aware UTC).
        problems: what a person should look at, in words; empty where all is well.
        store_error: why the store could not be read now; empty where it could.
        keeper: ``running``; ``stalled``: it has not seen the store for five minutes; ``off``: this
            manager refreshes only what it is asked for, or is a follower.
        unpersisted: grants whose newest pair the store does not have yet: the journal has it, or
            memory.
        in_memory_only: those of them that end with this process.
        refreshing: refreshes under way in this process.
        held_up_by: why refreshes wait: a ``ban`` by the gateway, an ``outage`` of it, an
            ``incident`` (so many refresh tokens are refused that it is not believed), or the
            ``app`` is refused; ``None`` where they go on.
        overdue: seconds that the refresh that is due first has been due; 0 where none is.
        nearest_death: when the first access token ends of those that can be refreshed, as far as
            is known; ``None`` where nobody knows.
        survey: how all grants were when they were counted last; ``None`` where that is not done.

    Example::

        health = await tokens.health()
        print(health.keeper, health.unpersisted, health.nearest_death, *health.problems)
    """

    at: datetime
    problems: tuple[str, ...] = ()
    store_error: str
    keeper: KeeperState
    unpersisted: int
    in_memory_only: int
    refreshing: int
    held_up_by: HeldUpBy | None
    overdue: float
    nearest_death: datetime | None
    survey: Survey | None

    @property
    def is_healthy(self) -> bool:
        """Whether nobody need look at anything."""
        return not self.problems


@frozen
class AtStake:
    """What an end of this process at this moment would leave behind.

    Attributes:
        refreshing: sellers whose refresh is under way; the next start asks for its answer.
        in_memory_only: sellers whose newest pair would be lost: neither the store has it, nor a
            journal.

    Example::

        if tokens.at_stake.in_memory_only:
            print("repair the store before this process ends")
    """

    refreshing: tuple[str, ...] = ()
    in_memory_only: tuple[str, ...] = ()


class Examiner:
    """Looks at a manager that runs."""

    def __init__(self, running: Running, vault: Vault, clock: Clock) -> None:
        self._running = running
        self._vault = vault
        self._clock = clock
        self._surveyor = Surveyor(
            start_soon=partial(running.background.start_soon, drained=False),
            look=running.statuses,
            load=vault.load,
            clock=clock,
        )

    @property
    def at_stake(self) -> AtStake:
        """What would be left behind, also while the manager ends and after that."""
        lost = (grant.seller_id for grant in self._vault.unpersisted.in_memory_only)
        return AtStake(tuple(self._running.flights.seller_ids), tuple(lost))

    async def examine(self) -> Health:
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
        return evolve(health, problems=tuple(_problems(health)))


def _keeper_state(running: Running) -> KeeperState:
    if not running.keeper.is_keeping:
        return "off"
    return "stalled" if running.keeper.idle_seconds > _LATE else "running"


_WAITING: Final = {
    "outage": "the token endpoint is down or cannot be reached; it is probed",
    "incident": "refresh tokens are refused in such numbers that it is not believed; it is probed",
    "app": "the gateway refuses the app itself: look at its key, secret, permission and IP list",
}


def _problems(health: Health) -> Iterator[str]:
    if health.store_error:
        yield health.store_error
    if health.in_memory_only:
        yield (
            f"{health.in_memory_only} new pairs are in memory alone, and end with this process: "
            "mend the store or the journal, and do not restart before that"
        )
    elif health.unpersisted:
        yield f"{health.unpersisted} new pairs are in the journal, and not in the store yet"
    if health.held_up_by in _WAITING:
        yield _WAITING[health.held_up_by]
    if health.keeper == "stalled":
        yield f"the keeper has not seen the store for {_LATE:.0f} s"
    if health.overdue > _LATE:
        yield f"a refresh has been due for {health.overdue:.0f} s"
    if health.nearest_death is not None and health.nearest_death <= health.at:
        yield "the access token of a seller is over, and was not refreshed in time"
    if health.survey is not None and health.survey.unreadable:
        yield health.survey.unreadable
