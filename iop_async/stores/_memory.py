"""A store that is gone with the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Final, Self

from anyio.lowlevel import checkpoint
from attrs import Factory, define, evolve

from .._closing import ClosesOnExit
from .._exceptions import StoreError
from .._inputs import require_aware
from .._records import Record
from ..protocols import MAX_LEASE_SECONDS, StoreReport
from ._base import Pages, row_of, utc_now
from ._contract import check_lease, check_names, check_record, check_records, is_repetition

_MAX_LEASE: Final = timedelta(seconds=MAX_LEASE_SECONDS)


@define
class _Row:
    record: Record
    holder: str | None = None
    until: datetime | None = None

    def wake_at(self, now: datetime) -> datetime | None:
        ends = self._lease_ends(now)
        if self.record.due_at is None or ends is None:
            return self.record.due_at
        return max(self.record.due_at, ends)

    def is_leased(self, now: datetime) -> bool:
        ends = self._lease_ends(now)
        return ends is not None and ends > now

    def _lease_ends(self, now: datetime) -> datetime | None:
        is_bounded = self.until is not None and self.until - now <= _MAX_LEASE
        return self.until if is_bounded else None  # one of a clock that was put back

    def release(self) -> None:
        self.holder = self.until = None


@define
class _Scope:
    found: dict[str, _Row] = Factory(dict)
    revision_floor: int = 0

    def rows(self) -> Iterator[_Row]:
        return (row for seller_id, row in self.found.items() if seller_id == row.record.seller_id)


class MemoryStore(ClosesOnExit):
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

    async def __aenter__(self) -> Self:
        return self

    async def create_tables(self) -> None:
        """There are none to make."""

    async def check(self, scope: str = "") -> StoreReport:
        """See :class:`~iop_async.protocols.Checkable`: there is nothing to look at."""
        check_names(scope)
        await checkpoint()
        return StoreReport(
            store="memory", server="this process", warnings=("nothing outlives this process",)
        )

    # Nothing below waits between its checkpoint and its end, so every method is one step.

    async def get(self, scope: str, seller_id: str) -> Record | None:
        """The record that ``seller_id`` finds."""
        check_names(scope, seller_id)
        await checkpoint()
        row = self._scope(scope).found.get(seller_id)
        return row.record if row else None

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`."""
        check_record(record)
        await checkpoint()
        return self._put(record, release)

    async def put_many(self, records: Sequence[Record]) -> list[Record | StoreError]:
        """Put each of them; see :class:`~iop_async.protocols.BulkTokenStore`."""
        check_records(records)
        await checkpoint()
        return [row_of(self._put, record, None) for record in records]

    def _put(self, record: Record, release: str | None) -> Record:
        scope = self._scope(record.scope)
        row = scope.found.get(record.seller_id)
        if row is not None and row.record.seller_id != record.seller_id:
            row = None
        is_repeated = is_repetition(row.record if row else None, record)
        if row is None or not is_repeated:
            row = self._write(scope, row, record)
        if release is not None and row.holder == release:
            row.release()
        return row.record

    def _write(self, scope: _Scope, row: _Row | None, record: Record) -> _Row:
        if row is None:
            row = _Row(evolve(record, revision=scope.revision_floor))
        written = evolve(record, revision=row.record.revision + 1)
        for seller_id in row.record.seller_ids:
            if scope.found.get(seller_id) is row:
                del scope.found[seller_id]
        row.record = written
        found = map(scope.found.get, written.seller_ids)
        for loser in {id(loser): loser for loser in found if loser is not None}.values():
            _detach_sellers(scope, loser, written.seller_ids)
        for seller_id in written.seller_ids:
            scope.found[seller_id] = row
        return row

    async def remove(self, scope: str, seller_id: str) -> bool:
        """Forget the record that ``seller_id`` finds; whether there was one."""
        check_names(scope, seller_id)
        await checkpoint()
        kept = self._scope(scope)
        row = kept.found.get(seller_id)
        if row is None:
            return False
        for name in row.record.seller_ids:
            del kept.found[name]
        kept.revision_floor = max(kept.revision_floor, row.record.revision)
        return True

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, ordered by expiry, earliest first."""
        check_names(scope, holder)
        check_lease(seconds)
        require_aware("due_by", due_by)
        await checkpoint()
        now = self._now()
        ready = (
            row
            for row in self._scope(scope).rows()
            if row.record.due_at is not None
            and row.record.due_at <= due_by
            and not row.is_leased(now)
        )
        claimed = nsmallest(limit, ready, key=_expiry)
        for row in claimed:
            row.holder, row.until = holder, now + timedelta(seconds=seconds)
        return [row.record for row in claimed]

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back."""
        check_names(scope, seller_id, holder)
        check_lease(seconds, may_be_zero=True)
        await checkpoint()
        row = self._scope(scope).found.get(seller_id)
        now = self._now()
        if row is None or (row.holder != holder and row.is_leased(now)):
            return None
        if seconds:
            row.holder, row.until = holder, now + timedelta(seconds=seconds)
        elif row.holder == holder:
            row.release()
        return row.record

    async def next_due(self, scope: str) -> datetime | None:
        """The moment at which :meth:`claim` finds something next, leases considered."""
        check_names(scope)
        await checkpoint()
        now = self._now()
        moments = (row.wake_at(now) for row in self._scope(scope).rows())
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


def _expiry(row: _Row) -> tuple[bool, datetime | None]:
    dies_at = row.record.dies_at
    return (dies_at is None, dies_at)


def _detach_sellers(scope: _Scope, row: _Row, taken: tuple[str, ...]) -> None:
    record = row.record
    left = tuple(seller_id for seller_id in record.seller_ids if seller_id not in taken)
    if record.seller_id not in left:
        scope.revision_floor = max(scope.revision_floor, record.revision)
    if left:
        seller_id = record.seller_id if record.seller_id in left else left[0]
        row.record = evolve(
            record, seller_id=seller_id, seller_ids=left, revision=record.revision + 1
        )
