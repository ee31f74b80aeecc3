"""How all grants are, counted now and then: a look at each costs too much for every question."""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from heapq import nsmallest
from operator import itemgetter
from types import MappingProxyType
from typing import Final, TypeAlias

import anyio
from attrs import field, frozen

from .._clock import Clock
from .._collect_errors import UnreadableRecords
from .._exceptions import StoreError
from ._grant import Grant, State
from ._reports import SellerStatus

SHOWN: Final = 20
"""Sellers that are named of those who come first."""

_HOURS: Final = 48
_DAYS: Final = 90

_PAGE: Final = 1_000
"""Grants between two breaths, each as long as their reading took: calls go on meanwhile."""

_PAUSE_MIN: Final = 5.0
_PAUSE_FACTOR: Final = 10
"""Seconds between two surveys at least, and how many times as long as the last took."""

_FIRST_TIMEOUT: Final = 2.0
"""Seconds that the first survey is waited for, which few sellers take."""

_NEAREST_KEPT: Final = 200
_NEAREST_READ: Final = 5
"""Grants that are read again, at a time, to find whether they were refreshed since."""

Look: TypeAlias = Callable[[], AsyncIterator[SellerStatus]]
Load: TypeAlias = Callable[[str], Awaitable[Grant | None]]
_Moment: TypeAlias = tuple[datetime, SellerStatus]


def _frozen_counts(counts: Mapping[datetime, int]) -> Mapping[datetime, int]:
    return MappingProxyType(dict(sorted(counts.items())))


@frozen(kw_only=True)
class Survey:
    """How all grants of the store were when they were counted, without any secret.

    Attributes:
        at: when counting began (aware UTC); it took ``seconds``.
        by_state: sellers' grants by ``live``, ``ambiguous`` and ``reauthorize``.
        unanswered: grants of which a refresh was begun whose answer is not known, here or
            elsewhere; those that are being refreshed at that moment are among them.
        failing: grants whose last refresh failed, and is tried again.
        expired: grants that can be refreshed and whose access token was over.
        unreadable: what the store said of records that cannot be read; empty where all can.
        refreshes: how many refreshes fall due in each of 48 hours, by the hour's beginning; those
            that are overdue are in the first.
        authorize_by: how many sellers should approve again on each of 90 days (UTC).
        next_refreshes: the 20 that are due first.
        next_authorize_by: the 20 sellers who should approve again first.

    Example::

        if (survey := (await tokens.health()).survey) is not None:
            print(survey.by_state, survey.failing, survey.next_authorize_by)
    """

    at: datetime
    seconds: float
    by_state: Mapping[State, int]
    unanswered: int
    failing: int
    expired: int
    unreadable: str = ""
    refreshes: Mapping[datetime, int] = field(converter=_frozen_counts)
    authorize_by: Mapping[datetime, int] = field(converter=_frozen_counts)
    next_refreshes: tuple[SellerStatus, ...] = ()
    next_authorize_by: tuple[SellerStatus, ...] = ()


class _Tally:
    """What is known of the grants that were looked at."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._last_hour = _hour(now) + timedelta(hours=_HOURS)
        self._last_day = _day(now) + timedelta(days=_DAYS)
        self._states: dict[State, int] = {"live": 0, "ambiguous": 0, "reauthorize": 0}
        self._unanswered = self._failing = self._expired = 0
        self._refreshes: Counter[datetime] = Counter()
        self._authorize_by: Counter[datetime] = Counter()
        self._page: list[SellerStatus] = []
        self._due: list[_Moment] = []
        self._ending: list[_Moment] = []
        self._dying: list[_Moment] = []

    def add(self, status: SellerStatus) -> bool:
        """Count a grant; whether so many were counted that others are to have their turn."""
        self._states[status.state] += 1
        self._unanswered += status.is_unanswered
        self._failing += bool(status.attempts) and status.state != "reauthorize"
        if status.refresh_at is not None:
            self._expired += status.expires_at is not None and status.expires_at <= self._now
            moment = max(status.refresh_at, self._now)
            if moment < self._last_hour:
                self._refreshes[_hour(moment)] += 1
        end = status.authorize_by
        if end is not None and self._now <= end < self._last_day:
            self._authorize_by[_day(end)] += 1
        self._page.append(status)
        is_full = len(self._page) >= _PAGE
        if is_full:
            self._sort()
        return is_full

    def _sort(self) -> None:
        page, self._page = self._page, []
        kept = [each for each in page if each.refresh_at is not None]
        due = [(each.refresh_at, each) for each in kept if each.refresh_at]
        self._due = _first(SHOWN, self._due, due)
        dying = [(each.expires_at, each) for each in kept if each.expires_at]
        self._dying = _first(_NEAREST_KEPT, self._dying, dying)
        ending = [(end, each) for each in page if (end := each.authorize_by) and end >= self._now]
        self._ending = _first(SHOWN, self._ending, ending)

    def survey(self, seconds: float, unreadable: str) -> Survey:
        """What was counted."""
        self._sort()
        return Survey(
            at=self._now,
            seconds=seconds,
            by_state=MappingProxyType(self._states),
            unanswered=self._unanswered,
            failing=self._failing,
            expired=self._expired,
            unreadable=unreadable,
            refreshes=self._refreshes,
            authorize_by=self._authorize_by,
            next_refreshes=tuple(status for _, status in self._due),
            next_authorize_by=tuple(status for _, status in self._ending),
        )

    @property
    def nearest(self) -> list[tuple[datetime, str]]:
        """The ends of the access tokens that end first, of grants that can be refreshed."""
        return [(expires_at, each.seller_id) for expires_at, each in self._dying]


class Surveyor:
    """Counts all grants when somebody asks how they are and the last count is old.

    Args:
        start_soon: runs work beside what asks for it.
        look: the states of all grants.
        load: the grant of a seller as it is now.
    """

    def __init__(
        self,
        *,
        start_soon: Callable[[Callable[[], Awaitable[object]]], object],
        look: Look,
        load: Load,
        clock: Clock,
    ) -> None:
        self._start_soon = start_soon
        self._look = look
        self._load = load
        self._clock = clock
        self._latest: Survey | None = None
        self._nearest: list[tuple[datetime, str]] = []
        self._bound: list[datetime] = []  # no other ends earlier, where there are others
        self._is_counting = False
        self._next_at = 0.0
        self._counted = anyio.Event()

    async def latest(self) -> Survey | None:
        """The last count, whose successor is begun where it is old; ``None`` where none is done."""
        if not self._is_counting and anyio.current_time() >= self._next_at:
            self._is_counting = True
            self._start_soon(self._count)
        if self._latest is None:
            with anyio.move_on_after(_FIRST_TIMEOUT):
                await self._counted.wait()
        return self._latest

    async def _count(self) -> None:
        began = anyio.current_time()
        tally, unreadable = _Tally(self._clock.now()), ""
        try:
            page_began = began
            try:
                async for status in self._look():
                    if tally.add(status):
                        await anyio.sleep(anyio.current_time() - page_began)
                        page_began = anyio.current_time()
            except UnreadableRecords as error:
                unreadable = str(error)
            self._latest = tally.survey(anyio.current_time() - began, unreadable)
            self._nearest = tally.nearest
            self._bound = [end for end, _ in self._nearest[_NEAREST_KEPT - 1 :]]
        except StoreError:
            pass  # who asks is told by what he asks the store himself
        finally:
            ended = anyio.current_time()
            self._next_at = ended + max(_PAUSE_MIN, _PAUSE_FACTOR * (ended - began))
            self._is_counting = False
            self._counted.set()

    async def nearest_death(self) -> datetime | None:
        """When the first access token ends of those that can be refreshed, as far as is known.

        None ends earlier: the first few are read again, as they may have been refreshed since.

        Raises:
            StoreError: the store failed.
        """
        nearest = self._nearest
        for _ in range(_NEAREST_READ if nearest else 0):
            first = nearest[0]
            grant = await self._load(first[1])
            if first in nearest:  # nobody else has looked at it meanwhile
                nearest.remove(first)
                end = None if grant is None else grant.token.expires_at
                if grant is not None and end is not None and grant.state != "reauthorize":
                    insort(nearest, (end, grant.seller_id))
            if not nearest or nearest[0] == first:
                break
        ends = [end for end, _ in nearest[:1]]
        return min([*ends, *self._bound], default=None)


def _first(count: int, known: list[_Moment], more: list[_Moment]) -> list[_Moment]:
    return nsmallest(count, (*known, *more), key=itemgetter(0))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> datetime:
    return _hour(moment).replace(hour=0)
