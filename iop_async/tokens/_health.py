"""Whether a manager does its work, for probes, metrics and those who are called at night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, TypeAlias

from attrs import frozen

from ._survey import Survey

LATE: Final = 300.0
"""Seconds that a refresh may be overdue, and the keeper without a look at the store."""

KeeperState: TypeAlias = Literal["running", "stalled", "off"]
HeldUpBy: TypeAlias = Literal["ban", "outage", "incident", "app"]


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


_WAITING: Final = {
    "outage": "the token endpoint is down or cannot be reached; it is probed",
    "incident": "refresh tokens are refused in such numbers that it is not believed; it is probed",
    "app": "the gateway refuses the app itself: look at its key, secret, permission and IP list",
}


def problems_of(health: Health) -> Iterator[str]:
    """What a person should look at."""
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
        yield f"the keeper has not seen the store for {LATE:.0f} s"
    if health.overdue > LATE:
        yield f"a refresh has been due for {health.overdue:.0f} s"
    if health.nearest_death is not None and health.nearest_death <= health.at:
        yield "the access token of a seller is over, and was not refreshed in time"
    if health.survey is not None and health.survey.unreadable:
        yield health.survey.unreadable
