"""A store that is gone with the process."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from heapq import nsmallest
from itertools import count, islice
from math import inf
from typing import Any, Final, Self, TypeAlias, TypeVar

from anyio.lowlevel import checkpoint
from attrs import Factory, define

from .._closing import ClosesOnExit
from .._exceptions import StoreError
from .._inputs import require_aware
from .._records import Record
from .._values import changed
from ..protocols import MAX_LEASE_SECONDS, StoreReport
from ._base import Pages, row_of, utc_now
from ._columns import to_micros
from ._contract import (
    CLAIM_WINDOW,
    DUE_STEP,
    by_expiry,
    check_asked,
    check_lease,
    check_names,
    check_record,
    check_records,
    is_repetition,
)

_MAX_LEASE: Final = timedelta(seconds=MAX_LEASE_SECONDS)


@define(eq=False)
class _Row:
    record: Record
    number: int
    holder: str | None = None
    until: datetime | None = None

    def is_leased(self, now: datetime) -> bool:
        # one that ends beyond all bounds is of a clock that was put back
        return self.until is not None and now < self.until <= now + _MAX_LEASE

    def release(self) -> None:
        self.holder = self.until = None


_Key = TypeVar("_Key")
_Index: TypeAlias = "list[tuple[_Key, int, _Row]]"
"""Rows by a key, in order; the numbers of rows tell those of one key apart."""

_ClaimOrder: TypeAlias = "tuple[int, tuple[bool, datetime | None]]"


@define
class _Scope:
    """The rows of a scope.

    Attributes:
        found: what each seller finds.
        free: the rows with a due time that nobody leases, by that.
        to_claim: the same, in the order in which a claim looks at them.
        leased: the leased ones, by the end of the lease.
    """

    found: dict[str, _Row] = Factory(dict)
    free: _Index[datetime] = Factory(list)
    to_claim: _Index[_ClaimOrder] = Factory(list)
    leased: _Index[datetime] = Factory(list)
    revision_floor: int = 0
    _numbers: Iterator[int] = Factory(count)

    def new_row(self, record: Record) -> _Row:
        return _Row(record, next(self._numbers))

    def rows(self) -> Iterator[_Row]:
        return (row for seller_id, row in self.found.items() if seller_id == row.record.seller_id)

    @contextmanager
    def changing(self, row: _Row) -> Iterator[None]:
        """Keep the indexes right while a row changes."""
        self.unlist(row)
        yield
        for index, key in self._places(row):
            insort(index, (key, row.number, row))

    def unlist(self, row: _Row) -> None:
        """Have no claim find a row any more."""
        for index, key in self._places(row):
            at = bisect_left(index, (key, row.number))
            if at < len(index) and index[at][2] is row:
                del index[at]

    def _places(self, row: _Row) -> list[tuple[_Index[Any], Any]]:
        due_at = row.record.due_at
        if row.until is not None:
            return [(self.leased, row.until)]
        if due_at is None:
            return []
        order = to_micros(due_at) // DUE_STEP, by_expiry(row.record)
        return [(self.free, due_at), (self.to_claim, order)]

    def first_due(self, due_by: datetime) -> Iterator[_Row]:
        """The free rows that are due, in the order in which a claim looks at them."""
        last_step = to_micros(due_by) // DUE_STEP
        for (step, _), _, row in self.to_claim:
            if step > last_step:
                break
            if row.record.due_at is not None and row.record.due_at <= due_by:
                yield row

    def end_leases(self, now: datetime) -> None:
        """Free the rows whose lease has ended, or cannot be believed."""
        ended = self.leased[: _after(self.leased, now)]
        planted = self.leased[_after(self.leased, now + _MAX_LEASE) :]
        for _, _, row in (*ended, *planted):
            with self.changing(row):
                row.release()


def _after(index: _Index[datetime], moment: datetime) -> int:
    """Where in an index the rows begin that come after a moment."""
    return bisect_right(index, (moment, inf))


class MemoryStore(ClosesOnExit):
    """Keeps records in this process's memory: for tests, and for tokens that may be lost.

    Nothing survives the process, and no other process sees it: a seller whose refresh token was
    rotated must authorize again after a restart; :class:`SQLiteStore` forgets nobody.

    Use it from one event loop at a time. Closing it does nothing, since it opened nothing.

    Args:
        now: the clock that leases run by: aware datetimes.

    Example::

        async with iop.TokenManager(client, iop.stores.MemoryStore()) as tokens:
            await tokens.import_token(token)
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

    async def get_many(
        self, scope: str, seller_ids: Sequence[str]
    ) -> list[Record | StoreError | None]:
        """Get each of them; see :class:`~iop_async.protocols.BulkTokenStore`."""
        check_asked(scope, seller_ids)
        await checkpoint()
        rows = map(self._scope(scope).found.get, seller_ids)
        return [row.record if row else None for row in rows]

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
            with scope.changing(row):
                row.release()
        return row.record

    def _write(self, scope: _Scope, row: _Row | None, record: Record) -> _Row:
        if row is None:
            row = scope.new_row(changed(record, due_at=None, revision=scope.revision_floor))
        written = changed(record, revision=row.record.revision + 1)
        for seller_id in row.record.seller_ids:
            if scope.found.get(seller_id) is row:
                del scope.found[seller_id]
        with scope.changing(row):
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
        kept.unlist(row)
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
        now, kept = self._now(), self._scope(scope)
        kept.end_leases(now)
        window = islice(kept.first_due(due_by), max(CLAIM_WINDOW, limit))
        claimed = nsmallest(limit, window, key=lambda row: by_expiry(row.record))
        for row in claimed:
            with kept.changing(row):
                row.holder, row.until = holder, now + timedelta(seconds=seconds)
        return [row.record for row in claimed]

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back."""
        check_names(scope, seller_id, holder)
        check_lease(seconds, may_be_zero=True)
        await checkpoint()
        kept, now = self._scope(scope), self._now()
        row = kept.found.get(seller_id)
        if row is None or (row.holder != holder and row.is_leased(now)):
            return None
        with kept.changing(row):
            if seconds:
                row.holder, row.until = holder, now + timedelta(seconds=seconds)
            elif row.holder == holder:
                row.release()
        return row.record

    async def next_due(self, scope: str) -> datetime | None:
        """The moment at which :meth:`claim` finds something next, leases considered."""
        check_names(scope)
        await checkpoint()
        kept = self._scope(scope)
        kept.end_leases(self._now())
        leased = (
            max(until, row.record.due_at)
            for until, _, row in kept.leased
            if row.record.due_at is not None
        )
        free = (due_at for due_at, _, _ in kept.free[:1])
        return min((*free, *leased), default=None)

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


def _detach_sellers(scope: _Scope, row: _Row, taken: tuple[str, ...]) -> None:
    record = row.record
    left = tuple(seller_id for seller_id in record.seller_ids if seller_id not in taken)
    if record.seller_id not in left:
        scope.revision_floor = max(scope.revision_floor, record.revision)
    if not left:
        scope.unlist(row)
    else:
        seller_id = record.seller_id if record.seller_id in left else left[0]
        row.record = changed(
            record, seller_id=seller_id, seller_ids=left, revision=record.revision + 1
        )
