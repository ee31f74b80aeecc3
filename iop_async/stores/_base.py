"""Parts that store classes are built of: entering, reading in pages, a clock, one log line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

from .._closing import ClosesOnExit
from .._collect_errors import Failures
from .._exceptions import StoreError
from .._logs import own_logger
from .._records import Record

K = TypeVar("K")

Row: TypeAlias = "Record | StoreError"
"""A row as it was read: the record, or the error that says why it is none."""

_log = own_logger("iop_async.stores")

_MAX_REMEMBERED: Final = 10_000
"""Errors that were logged once, before all are forgotten: memory stays bounded."""


def utc_now() -> datetime:
    """The clock that leases run by where no other is given."""
    return datetime.now(UTC)


class EnteredOnce(ClosesOnExit):
    """``async with`` for a store: what is wrong with it shows when it is entered.

    It is closed at the end, or at once where opening fails.
    """

    _entered = False

    async def _open(self) -> None:
        raise NotImplementedError

    async def create_tables(self) -> None:
        """Make what must be there before the first write; a store without tables needs nothing."""

    async def __aenter__(self) -> Self:
        if self._entered:
            msg = "this store was entered before; make a new one"
            raise RuntimeError(msg)
        self._entered = True
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise
        return self


class Pages(AsyncIterator[Record], Generic[K]):
    """All records, whose pages are read as they are needed; then one error for those unreadable.

    No generator, which would have to be closed by whoever leaves a loop early.

    Args:
        read: a page, and the key to read the next with; ``None`` after the last.
        first: the key of the first page.
    """

    def __init__(
        self, read: Callable[[K], Awaitable[tuple[Iterable[Row], K | None]]], first: K
    ) -> None:
        self._read = read
        self._key: K | None = first
        self._page: Iterator[Row] = iter(())
        self._failures = Failures()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        while True:
            for row in self._page:
                if not isinstance(row, StoreError):
                    return row
                self._failures.add(row)
            if self._key is None:
                failures, self._failures = self._failures, Failures()
                failures.throw()
                raise StopAsyncIteration
            page, self._key = await self._read(self._key)
            self._page = iter(page)


def row_of(read: Callable[..., Record], *row: Any) -> Row:
    """The record that ``read`` makes of a row, or the error that says why it is none."""
    try:
        return read(*row)
    except StoreError as error:
        return error.with_traceback(None)  # whose frames hold the body


class SkippedRows:
    """Tells, once each, of records that are due and cannot be read."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def readable(self, rows: Iterable[Row]) -> list[Record]:
        """The records among some rows; the rest is logged, unless it was before."""
        records: list[Record] = []
        for row in rows:
            if isinstance(row, StoreError):
                self.tell(row)
            else:
                records.append(row)
        return records

    def tell(self, error: StoreError) -> None:
        """Log it, unless that was done."""
        words = str(error)
        if words not in self._known:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            self._known.add(words)
            _log.error("a record that is due is passed over: %s", words)
