"""A store that is gone with the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from heapq import nsmallest

from anyio.lowlevel import checkpoint
from attrs import Factory, define, evolve

from .._models import require_aware
from .._records import Record
from ._checks import check_lease, check_record
from ._decide import is_repetition
from ._pages import Pages
from ._times import utc_now


@define
class _Row:
    record: Record
    holder: str | None = None
    until: datetime | None = None

    def wake_at(self) -> datetime | None:
        if self.record.due_at is None or self.until is None:
            return self.record.due_at
        return max(self.record.due_at, self.until)

    def release(self) -> None:
        self.holder = self.until = None


@define
class _Scope:
    found: dict[str, _Row] = Factory(dict)
    floor: int = 0

    def rows(self) -> Iterator[_Row]:
        return (row for seller, row in self.found.items() if seller == row.record.seller)


class MemoryStore:
    """Keeps records in this process's memory: for tests, and for tokens that may be lost.

    Nothing survives the process, and no other process sees it: a seller whose refresh token was
    rotated must authorize again after a restart. It is meant for hundreds of sellers, because
    finding the due ones looks at all of them; :class:`SQLiteStore` does neither.

    Use it from one event loop at a time. Closing it does nothing, since it opened nothing.

    Args:
        now: the clock that leases run by: aware datetimes.
    """

    def __init__(self, *, now: Callable[[], datetime] = utc_now) -> None:
        self._now = now
        self._scopes: dict[str, _Scope] = {}

    # Nothing below waits between its checkpoint and its end, so every method is one step.

    async def get(self, scope: str, seller: str) -> Record | None:
        """The record that ``seller`` finds."""
        await checkpoint()
        row = self._scope(scope).found.get(seller)
        return row.record if row else None

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`."""
        check_record(record)
        await checkpoint()
        scope = self._scope(record.scope)
        row = scope.found.get(record.seller)
        if row is not None and row.record.seller != record.seller:
            row = None
        is_repeated = is_repetition(row.record if row else None, record)
        if row is None or not is_repeated:
            row = self._write(scope, row, record)
        if release is not None and row.holder == release:
            row.release()
        return row.record

    def _write(self, scope: _Scope, row: _Row | None, record: Record) -> _Row:
        if row is None:
            row = _Row(evolve(record, revision=scope.floor))
        written = evolve(record, revision=row.record.revision + 1)
        for seller in row.record.sellers:
            if scope.found.get(seller) is row:
                del scope.found[seller]
        row.record = written
        found = map(scope.found.get, written.sellers)
        for loser in {id(loser): loser for loser in found if loser is not None}.values():
            _take(scope, loser, written.sellers)
        for seller in written.sellers:
            scope.found[seller] = row
        return row

    async def remove(self, scope: str, seller: str) -> bool:
        """Forget the record that ``seller`` finds; whether there was one."""
        await checkpoint()
        kept = self._scope(scope)
        row = kept.found.get(seller)
        if row is None:
            return False
        for name in row.record.sellers:
            del kept.found[name]
        kept.floor = max(kept.floor, row.record.revision)
        return True

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, those that die first first."""
        check_lease(seconds)
        require_aware("due_by", due_by)
        await checkpoint()
        now = self._now()
        ready = (
            row
            for row in self._scope(scope).rows()
            if row.record.due_at is not None
            and row.record.due_at <= due_by
            and (row.until is None or row.until <= now)
        )
        claimed = nsmallest(limit, ready, key=_death)
        for row in claimed:
            row.holder, row.until = holder, now + timedelta(seconds=seconds)
        return [row.record for row in claimed]

    async def lease(self, scope: str, seller: str, *, holder: str, seconds: float) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back."""
        check_lease(seconds, may_be_zero=True)
        await checkpoint()
        row = self._scope(scope).found.get(seller)
        now = self._now()
        if row is None or (row.holder != holder and row.until is not None and row.until > now):
            return None
        if seconds:
            row.holder, row.until = holder, now + timedelta(seconds=seconds)
        elif row.holder == holder:
            row.release()
        return row.record

    async def next_due(self, scope: str) -> datetime | None:
        """When :meth:`claim` will find something next, leases considered."""
        await checkpoint()
        moments = (row.wake_at() for row in self._scope(scope).rows())
        return min((moment for moment in moments if moment is not None), default=None)

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, as they are when the first is asked for."""

        async def page(_: int) -> tuple[list[Record], None]:
            await checkpoint()
            return [row.record for row in self._scope(scope).rows()], None

        return Pages(page, 0)

    async def aclose(self) -> None:
        """Nothing to close; what was kept stays for as long as this object does."""
        await checkpoint()

    def _scope(self, scope: str) -> _Scope:
        return self._scopes.setdefault(scope, _Scope())


def _death(row: _Row) -> tuple[bool, datetime | None]:
    dies_at = row.record.dies_at
    return (dies_at is None, dies_at)


def _take(scope: _Scope, row: _Row, taken: tuple[str, ...]) -> None:
    record = row.record
    left = tuple(seller for seller in record.sellers if seller not in taken)
    if record.seller not in left:
        scope.floor = max(scope.floor, record.revision)
    if left:
        seller = record.seller if record.seller in left else left[0]
        row.record = evolve(record, seller=seller, sellers=left, revision=record.revision + 1)
