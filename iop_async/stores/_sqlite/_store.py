"""The store in an SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from ..._exceptions import StoreError
from ..._inputs import require_aware
from ..._records import Record
from ..._scrub import scrubs_frames
from ...protocols import StoreReport
from .._base import EnteredOnce, Pages, Row, SkippedRows, utc_now
from .._batches import Found, Outcome, get_in_batches, put_in_batches
from .._columns import next_moment, span, to_micros
from .._contract import check_asked, check_lease, check_names, check_record, check_records
from .._worker import Worker
from . import _bulk, _leases, _rows, _schema, _writes
from ._sessions import Reader, Writer

T = TypeVar("T")

_PAGE: Final = 200
"""Records read at a time by :meth:`SQLiteStore.records`."""


class SQLiteStore(EnteredOnce):
    """Keeps records in one file, for any number of tasks and processes of one host.

    A write is on the disk when its method returns; writes that wait at the same time share one
    transaction. Reading goes on beside writing. The file (and the ``-wal`` and ``-shm`` that SQLite
    puts beside it) is made readable by this user alone; one that exists keeps its permissions. It
    belongs on a local disk: SQLite's locks do not work over a network.

    A file that is damaged, empty, of another program or of a newer release is left untouched and
    makes every method raise ``StoreError``; the store never begins anew in its place. A damaged one
    gets a second name, ``<path>.corrupt``, so that it outlives a hasty ``rm``.

    Constructing does no I/O: the file is opened, or made, by the first method or by ``async with``.
    A process that is forked lets go of the file first, and parent and child open it again.

    Args:
        path: the file; its directory must exist.
        busy_timeout: seconds to wait for other processes that write, before ``StoreError``.
        now: the clock that leases run by: aware datetimes. It is called in a thread.

    Example::

        async with (
            iop.stores.SQLiteStore("tokens.db") as store,
            iop.TokenManager(client, store) as tokens,
        ):
            await tokens.import_token(token)
    """

    @scrubs_frames
    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = 10.0,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        if os.fspath(path) in {"", ":memory:"}:
            msg = "SQLiteStore keeps a file; MemoryStore() is the one that keeps nothing"
            raise ValueError(msg)
        if "://" in os.fspath(path):
            msg = "the path of a SQLiteStore is a URL; stores.from_url(...) takes those"
            raise ValueError(msg)
        # a daemon that changes its directory must not find another file under the same name
        self._path = Path(path).absolute()
        self._now = now
        self._skipped = SkippedRows()
        self._writer = Worker[sqlite3.Connection](str(self._path), Writer(self._path, busy_timeout))
        self._reader = Worker[sqlite3.Connection](str(self._path), Reader(self._path, busy_timeout))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r})"

    @property
    def path(self) -> Path:
        """The file, absolute."""
        return self._path

    async def _open(self) -> None:
        await self._writer.run(_nothing)

    async def create_tables(self) -> None:
        """Make the file, unless it is there; every other method would."""
        await self._writer.run(_nothing)

    async def check(self, scope: str = "") -> StoreReport:
        """See :class:`~iop_async.protocols.Checkable`: the file is ours, whole enough, writable."""
        check_names(scope)  # all of them are in the same tables
        # by the writer, whose transactions begin with the lock that a read-only file refuses
        await self._writer.run(_schema.check)
        return StoreReport(store=str(self._path), server=f"SQLite {sqlite3.sqlite_version}")

    async def _read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        if not self._writer.has_begun:
            await self._writer.run(_nothing)  # makes the file, or brings it up to date
        return await self._reader.run(operation)

    async def get(self, scope: str, seller_id: str) -> Record | None:
        """The record that ``seller_id`` finds."""
        check_names(scope, seller_id)
        return await self._read(partial(_rows.get, scope=scope, seller_id=seller_id))

    async def get_many(
        self, scope: str, seller_ids: Sequence[str]
    ) -> list[Record | StoreError | None]:
        """Get each of them; see :class:`~iop_async.protocols.BulkTokenStore`."""
        check_asked(scope, seller_ids)

        async def get_batch(batch: Sequence[str]) -> list[Found]:
            return await self._read(partial(_rows.get_many, scope=scope, seller_ids=batch))

        return await get_in_batches(seller_ids, get_batch)

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`."""
        check_record(record)
        return await self._writer.run(partial(_writes.put, record=record, release=release))

    async def put_many(self, records: Sequence[Record]) -> list[Record | StoreError]:
        """Put each of them; see :class:`~iop_async.protocols.BulkTokenStore`."""
        check_records(records)

        async def put_batch(batch: list[Record]) -> list[Outcome]:
            return await self._writer.run(partial(_bulk.put_many, records=batch))

        return await put_in_batches(records, put_batch, self.put, count=_bulk.BATCH_MAX)

    async def remove(self, scope: str, seller_id: str) -> bool:
        """Forget the record that ``seller_id`` finds; whether there was one."""
        check_names(scope, seller_id)
        return await self._writer.run(partial(_writes.remove, scope=scope, seller_id=seller_id))

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, ordered by expiry, earliest first.

        A caller that is cancelled while it waits leases nothing.
        """
        check_names(scope, holder)
        check_lease(seconds)
        require_aware("due_by", due_by)

        def operation(db: sqlite3.Connection) -> _leases.Claimed:
            return _leases.claim(
                db,
                scope,
                due_by=to_micros(due_by),
                limit=max(limit, 0),
                lease=self._lease(holder, seconds),
            )

        claimed = await self._writer.run(operation, undo=_leases.unclaim)
        return self._skipped.readable(claimed.rows)

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back.

        A caller that is cancelled while it waits takes no lease that it did not have.
        """
        check_names(scope, seller_id, holder)
        check_lease(seconds, may_be_zero=True)

        def operation(db: sqlite3.Connection) -> _leases.Claimed:
            return _leases.take(db, scope, seller_id, self._lease(holder, seconds))

        leased = await self._writer.run(operation, undo=_leases.unclaim)
        return next(iter(self._skipped.readable(leased.rows)), None)

    def _lease(self, holder: str, seconds: float) -> _leases.Lease:
        now = to_micros(self._now())
        return _leases.Lease(holder, now, now + span(seconds))

    async def next_due(self, scope: str) -> datetime | None:
        """The moment at which :meth:`claim` finds something next, leases considered."""
        check_names(scope)

        def operation(db: sqlite3.Connection) -> int | None:
            return _leases.next_due(db, scope, now=to_micros(self._now()))

        return next_moment(await self._read(operation))

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order; read in pages, so that memory does not grow."""

        async def page(after: int) -> tuple[list[Row], int | None]:
            return await self._read(partial(_rows.page, scope=scope, after=after, limit=_PAGE))

        return Pages(page, 0)

    async def aclose(self) -> None:
        """Finish what was asked for and close the file. Closing again does nothing."""
        await self._reader.aclose()
        await self._writer.aclose()


def _nothing(db: sqlite3.Connection) -> None:
    """For its side effect: the file is open."""
