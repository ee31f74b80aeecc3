"""Many refreshes at a time: of whoever is named, or of whatever is due."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import anyio

from .._clock import Clock
from .._exceptions import IopError, ReauthorizationRequired, RefreshAmbiguous
from ._grant import Grant
from ._reports import Outcome, Progress, RefreshReport
from ._running import Running
from ._vault import Vault

T = TypeVar("T")

_FIRST_PAGE: Final = 25
_LAST_PAGE: Final = 200
"""Grants claimed at a time: few at first, so that the first of them does not wait for the rest."""


async def refresh_many(
    running: Running,
    seller_ids: Sequence[str],
    *,
    on_progress: Callable[[Progress], object] | None,
    limit: int,
) -> RefreshReport:
    """Refresh sellers at the same time, due or not; ``limit`` of them are waited for at once."""
    waiting = iter(seller_ids)
    tally = Tally(len(seller_ids), on_progress, running.report)

    async def take() -> str | None:
        return next(waiting, None)

    async def refresh(seller_id: str) -> None:
        await running.ban_over()
        await tally.count(seller_id, running.successor(seller_id))

    await for_each(take, refresh, limit=limit)
    return tally.report()


async def refresh_due(running: Running, vault: Vault, clock: Clock, *, limit: int) -> RefreshReport:
    """Refresh whatever is due now, as the keeper would.

    Raises:
        StoreError: the store does not say what is due; what it said before was refreshed.
    """
    tally = Tally(0, None, running.report)

    async def refresh(grant: Grant) -> None:
        flight = running.flights.join(grant.seller_id, partial(running.renew_or_warn, grant))
        await tally.count(grant.seller_id, flight.outcome(), before=grant.generation)

    async def take_postponed() -> tuple[str, int] | None:
        return next(iter(running.presentations.take_postponed(1)), None)

    async def retry(postponed: tuple[str, int]) -> None:
        seller_id, generation = postponed
        flight = running.flights.join(seller_id, partial(running.retry, seller_id))
        await tally.count(seller_id, flight.outcome(), before=generation)

    claims = Claims(vault, clock)
    await for_each(claims.take, refresh, limit=limit)
    await for_each(take_postponed, retry, limit=limit)
    for seller_id in claims.again:
        if seller_id not in running.flights:
            await vault.leases.give_back(seller_id)
    return tally.report()


class Claims:
    """Claims what is due, each seller once: one whose refresh fails may be due again at once.

    Attributes:
        again: sellers that were, and are leased so that those behind them are claimed.
    """

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._page = _FIRST_PAGE
        self._waiting: deque[Grant] = deque()
        self._seen: set[str] = set()
        self.again: set[str] = set()

    async def take(self) -> Grant | None:
        """A grant that is due and leased; ``None`` where there is no other."""
        while not self._waiting:
            claimed = await self._vault.claim(due_by=self._clock.now(), limit=self._page)
            seller_ids = {grant.seller_id for grant in claimed}
            if seller_ids <= self.again:
                return None
            self._page = min(self._page * 2, _LAST_PAGE)
            self._waiting += (grant for grant in claimed if grant.seller_id not in self._seen)
            self.again |= seller_ids & self._seen
            self._seen |= seller_ids
        return self._waiting.popleft()


async def for_each(
    take: Callable[[], Awaitable[T | None]],
    work: Callable[[T], Awaitable[object]],
    *,
    limit: int,
) -> None:
    """Do the work for every item until ``take`` has no more; it is asked by one task at a time.

    Raises what ``take`` raises, once the work under way is done.
    """
    turn = anyio.Lock(fast_acquire=True)
    ends: list[Exception | None] = []

    async def go_on() -> None:
        while True:
            async with turn:
                if ends:
                    return
                try:
                    item = await take()
                except Exception as error:  # noqa: BLE001 - raised where it is not in a group
                    ends.append(error)
                    return
                if item is None:
                    ends.append(None)
                    return
            await work(item)

    async with anyio.create_task_group() as tasks:
        for _ in range(limit):
            tasks.start_soon(go_on)
    if ends[0] is not None:
        raise ends[0]


class Tally:
    """Counts outcomes, and tells of each.

    Args:
        total: the outcomes there will be.
        on_progress: told after each.
        on_error: told of errors in ``on_progress``.
    """

    def __init__(
        self,
        total: int,
        on_progress: Callable[[Progress], object] | None,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._total = total
        self._on_progress = on_progress
        self._on_error = on_error
        self._refreshed: list[str] = []
        self._skipped: dict[str, str] = {}
        self._failed: dict[str, Exception] = {}

    async def count(self, seller_id: str, work: Awaitable[object], *, before: int = 0) -> None:
        """Wait for a refresh; one that left the generation as ``before`` counts as skipped."""
        outcome: Outcome = "refreshed"
        try:
            result = await work
            if isinstance(result, Grant) and result.generation <= before:
                outcome = "skipped"
                self._skipped[seller_id] = result.reason or "nothing to refresh"
            else:
                self._refreshed.append(seller_id)
        except (ReauthorizationRequired, RefreshAmbiguous) as error:
            outcome = "skipped"
            self._skipped[seller_id] = error.reason
        except (IopError, OSError) as error:
            outcome = "failed"
            self._failed[seller_id] = error
        self._tell(seller_id, outcome)

    def _tell(self, seller_id: str, outcome: Outcome) -> None:
        if self._on_progress is None:
            return
        done = len(self._refreshed) + len(self._skipped) + len(self._failed)
        try:
            self._on_progress(Progress(done, self._total, seller_id, outcome))
        except Exception as error:  # noqa: BLE001 - a listener's error is not a refresh's
            self._on_error(error)

    def report(self) -> RefreshReport:
        """All of it."""
        return RefreshReport(tuple(self._refreshed), self._skipped, self._failed)
