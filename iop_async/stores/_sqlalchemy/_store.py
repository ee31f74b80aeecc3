"""The store in an SQL database."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..._exceptions import StoreError
from ..._inputs import require_aware
from ..._logs import own_logger
from ..._records import Record
from ..._scrub import scrubs_frames
from ...protocols import StoreReport
from .._base import EnteredOnce, Pages, Row, SkippedRows
from .._batches import Found, Outcome, get_in_batches, put_alone, put_in_batches
from .._columns import next_moment, to_micros
from .._contract import check_asked, check_lease, check_names, check_record, check_records
from .._tasks import Tasks
from . import _bulk, _leases, _rows, _setup, _survey, _tables, _writes
from ._engines import POOL_SIZE, open_engine
from ._grouped_writes import GroupedWrites
from ._skip_locked import LeaseRequest
from ._sql import Sql
from ._transactions import Attempts, Transactions

T = TypeVar("T")

_log = own_logger("iop_async.stores")


class SQLAlchemyStore(EnteredOnce):
    """Keeps records in PostgreSQL, MySQL, MariaDB or SQLite, for any number of hosts.

    The tables are made by :meth:`create_tables`, by the statements of :meth:`ddl`, or by a
    migration from :attr:`metadata`; a store never makes them by itself. Leases run by the clock of
    the database, so those of the hosts may differ.

    A write is committed when its method returns, and as durable as the database is told to make
    commits (``synchronous_commit``, ``innodb_flush_log_at_trx_commit``). An SQLite file by its URL
    is opened with a write-ahead log that is synced with every commit; but
    :class:`~iop_async.stores.SQLiteStore` is much faster there, and does more for the file.

    Writes and leases that are asked for at the same time share a transaction. A caller that comes
    alone waits for nobody.

    Deadlocks, broken connections and a database that starts again are borne a few times before
    they are a ``StoreError``, which repeats no statement and no row, and keeps no cause that does.

    PostgreSQL may stand behind a pooler such as PgBouncer, in either mode. An engine of yours must
    then name no prepared statements, or it would be given rows of other programs; one that does is
    refused with what to set. In session mode, let the pooler have as many connections to the server
    as the hosts need at the same time: ``pool_size`` each at most.

    Constructing does no I/O. It runs under asyncio only, as SQLAlchemy does, in one event loop at
    a time; an engine of its own follows it from one to the next, and into a forked process. Tasks
    of its own do the work: a caller that is cancelled takes nothing back, and a claim that it will
    not hear of is undone.

    Args:
        engine: a URL as hosts hand it out, ``postgresql://user:password@host/database`` say, or
            an engine of yours. Where a URL names no driver, it is the first installed of asyncpg
            and psycopg, of aiomysql and asyncmy, or aiosqlite; ``sslmode`` and ``ssl-mode`` are
            read for each. Yours may have any pool and any isolation level, because the store sets
            the one that it needs where it needs it; it is not disposed of. To log its statements
            without what is in them, make it with ``hide_parameters=True``.
        table_prefix: what the names of the tables begin with.
        timeout: seconds for one transaction, before it is begun once more or ``StoreError``, and
            as many for connecting before it. An engine of yours bounds connecting by itself (with
            asyncpg, ``connect_args={"timeout": 10}``); the store gives it 30 seconds more than
            these, in which a connection of its pool may become free. Of its own engine, PostgreSQL
            and MariaDB are told to end a transaction that stands still for a second longer: a host
            that is gone without a word must not keep a seller locked. Tell yours the same
            (``idle_in_transaction_session_timeout``, ``idle_transaction_timeout``); MySQL knows
            only ``wait_timeout``.
        pool_size: connections of an engine that is made from a URL, at most.
        idle_timeout: seconds after which it closes those that it did not need so long, lest
            others wait for a place in vain; behind a pooler five at most.

    Example::

        url = "sqlite+aiosqlite:///shop.db"  # postgresql://user:password@host/database
        store = iop.stores.SQLAlchemyStore(url, table_prefix="shop_")
        await store.create_tables()
        async with store, iop.TokenManager(client, store) as tokens:
            await tokens.import_token(token)
    """

    @scrubs_frames
    def __init__(
        self,
        engine: str | AsyncEngine,
        *,
        table_prefix: str = "iop_",
        timeout: float = 10.0,
        pool_size: int = POOL_SIZE,
        idle_timeout: float = 60.0,
    ) -> None:
        for name, seconds in (("timeout", timeout), ("idle_timeout", idle_timeout)):
            if not (math.isfinite(seconds) and seconds > 0):
                msg = f"{name} is a positive number of seconds, not {seconds}"
                raise ValueError(msg)
        if pool_size < 1:
            msg = f"pool_size is a whole number from 1, not {pool_size}"
            raise ValueError(msg)
        self._tables: Final = _tables.make_tables(table_prefix, _tables.SENT)
        self._metadata: Final = _tables.make_tables(table_prefix).metadata
        self._engine: Final = open_engine(
            engine, timeout=timeout, pool_size=pool_size, idle_timeout=idle_timeout
        )
        self._skipped = SkippedRows()
        self._tasks = Tasks(self._engine.where, "SQLAlchemy")
        self._transactions = Transactions(self._engine, self._tables, timeout=timeout)
        self._grouped_writes = GroupedWrites(self._engine, self._transactions)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._engine.where!r})"

    @property
    def metadata(self) -> MetaData:
        """The tables, for migrations that are generated from them."""
        return self._metadata

    @staticmethod
    def ddl(dialect: str, *, table_prefix: str = "iop_") -> str:
        """The statements that make the tables, for migrations that are written by hand.

        Args:
            dialect: ``postgresql``, ``mysql``, ``mariadb`` or ``sqlite``.
            table_prefix: what the names of the tables begin with.
        """
        return _tables.ddl(dialect, table_prefix)

    async def create_tables(self) -> None:
        """Make the tables that are missing, and bring those of an older release up to date.

        Several hosts may do so at once, and again. Where an index is made anew, PostgreSQL has
        writers wait for as long as that takes: seconds for a million records.
        """
        await self._tasks.run(self._transactions.create_tables)

    async def _open(self) -> None:
        await self._tasks.run(partial(self._transactions.read, _nothing))

    async def check(self, scope: str = "") -> StoreReport:
        """See :class:`~iop_async.protocols.Checkable`: tables, their version, and all rights.

        A record of its own is written, leased and removed in a transaction that is rolled back.
        Settings that lose grants are warned of in the log as well.
        """
        check_names(scope)  # all of them are in the same tables

        async def look(db: AsyncConnection, sql: Sql) -> StoreReport:
            await _setup.try_all(db, sql)
            return await _survey.survey(db, self._engine.where)

        report = await self._tasks.run(partial(self._transactions.rehearse, look))
        for warning in report.warnings:
            _log.warning("%s: %s", report.store, warning)
        return report

    async def get(self, scope: str, seller_id: str) -> Record | None:
        """The record that ``seller_id`` finds."""
        check_names(scope, seller_id)
        get = partial(_rows.get, scope=scope, seller_id=seller_id)
        return await self._tasks.run(partial(self._transactions.read, get))

    async def get_many(
        self, scope: str, seller_ids: Sequence[str]
    ) -> list[Record | StoreError | None]:
        """Get each of them; see :class:`~iop_async.protocols.BulkTokenStore`."""
        check_asked(scope, seller_ids)

        async def get_batch(batch: Sequence[str]) -> list[Found]:
            get_many = partial(_rows.get_many, scope=scope, seller_ids=batch)
            return await self._transactions.read(get_many)

        return await self._tasks.run(partial(get_in_batches, seller_ids, get_batch))

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`."""
        check_record(record)
        check_names(*(() if release is None else (release,)))
        return await self._tasks.run(partial(self._grouped_writes.put, record, release))

    async def put_many(self, records: Sequence[Record]) -> list[Record | StoreError]:
        """Put each of them; see :class:`~iop_async.protocols.BulkTokenStore`.

        A thousand at a time are one transaction, but for those that replace a record or take
        sellers from one.
        """
        check_records(records)
        put = partial(self._grouped_writes.put, release=None)

        async def put_batch(batch: list[Record]) -> list[Outcome | None]:
            outcomes = await self._transactions.write(partial(_bulk.put_many, records=batch))

            async def put_left(n: int) -> None:
                outcomes[n] = await put_alone(batch[n], put)

            # at the same time, so that they share transactions; all to the end, lest a task that
            # another's failure cancels leaves a connection in the middle of a statement
            left = [put_left(n) for n, outcome in enumerate(outcomes) if outcome is None]
            for failure in await asyncio.gather(*left, return_exceptions=True):
                if failure is not None:
                    raise failure
            return outcomes

        async def put_all() -> list[Outcome]:
            return await put_in_batches(records, put_batch, put, count=_bulk.BATCH_MAX)

        return await self._tasks.run(put_all)

    async def remove(self, scope: str, seller_id: str) -> bool:
        """Forget the record that ``seller_id`` finds; whether there was one."""
        check_names(scope, seller_id)
        return await self._tasks.run(partial(self._remove, scope, seller_id))

    async def _remove(self, scope: str, seller_id: str) -> bool:
        attempts = Attempts()
        found: dict[int, int] = {}

        async def remove(db: AsyncConnection, sql: Sql) -> bool:
            nonlocal found
            if attempts.may_be_done:
                await _writes.remove(db, sql, scope, seller_id, only=found)
            else:
                found = await _writes.remove(db, sql, scope, seller_id)
            return bool(found)

        return await self._transactions.write(remove, attempts)

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, ordered by expiry, earliest first.

        A record that another host is claiming or writing at this moment is skipped.
        """
        check_names(scope, holder)
        check_lease(seconds)
        require_aware("due_by", due_by)
        if limit <= 0:
            return []
        request = _leases.ClaimRequest(
            scope=scope, due_by=to_micros(due_by), limit=limit, holder=holder, seconds=seconds
        )
        claimed = await self._tasks.run(partial(self._claim, request), undo=self._undo)
        return self._skipped.readable(claimed.rows)

    async def _claim(self, request: _leases.ClaimRequest) -> _leases.Claimed:
        if self._engine.database.returns_updated:
            claim = partial(_leases.claim_at_once, request=request)
            return await self._transactions.write_each(claim)
        return await self._transactions.write(partial(_leases.claim, request=request))

    async def _undo(self, claimed: _leases.Claimed) -> None:
        if claimed.ends:
            await self._transactions.write_each(partial(_leases.undo, claimed=claimed))

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back.

        A caller that is cancelled while it waits takes no lease that it did not have.
        """
        check_names(scope, seller_id, holder)
        check_lease(seconds, may_be_zero=True)
        if not seconds:
            return await self._give_back(scope, seller_id, holder)

        request = LeaseRequest(scope, seller_id, holder, seconds)
        lease = partial(self._grouped_writes.lease, request)
        leased = await self._tasks.run(lease, undo=self._undo)
        return next(iter(self._skipped.readable(leased.rows)), None)

    async def _give_back(self, scope: str, seller_id: str, holder: str) -> Record | None:
        give_back = partial(
            _leases.give_back,
            scope=scope,
            seller_id=seller_id,
            holder=holder,
            ending=_leases.Ending(),
        )
        return await self._tasks.run(partial(self._transactions.write_each, give_back))

    async def next_due(self, scope: str) -> datetime | None:
        """When :meth:`claim` will find something next, leases considered."""
        check_names(scope)
        next_due = partial(_leases.next_due, scope=scope)
        return next_moment(await self._tasks.run(partial(self._transactions.read, next_due)))

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order; read in pages, so that memory does not grow."""
        check_names(scope)

        async def page(after: int) -> tuple[list[Row], int | None]:
            read = partial(_rows.page, scope=scope, after=after)
            return await self._tasks.run(partial(self._transactions.read, read))

        return Pages(page, 0)

    async def aclose(self) -> None:
        """Finish what was asked for, and dispose of an engine made from a URL; again: nothing."""
        await self._tasks.aclose(self._transactions.aclose)


async def _nothing(db: AsyncConnection, sql: Sql) -> None:
    """For its side effect: the database is reached, and has the tables."""
