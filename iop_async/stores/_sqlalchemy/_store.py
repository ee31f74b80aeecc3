"""The store in an SQL database."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from attrs import evolve
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..._models import require_aware
from ..._records import Record
from .._checks import check_lease, check_record
from .._entering import EnteredOnce
from .._pages import Pages
from .._tasks import Tasks
from .._times import from_micros, to_micros
from . import _leases, _reads, _tables, _writes
from ._engines import open_engine
from ._statements import Statements
from ._transactions import Transactions, Tries
from ._types import SENT

T = TypeVar("T")


class SQLAlchemyStore(EnteredOnce):
    """Keeps records in PostgreSQL, MySQL, MariaDB or SQLite, for any number of hosts.

    The tables are made by :meth:`create_tables`, by the statements of :meth:`ddl`, or by a
    migration from :attr:`metadata`; a store never makes them by itself. Leases run by the clock of
    the database, so those of the hosts may differ.

    A write is committed when its method returns, and as durable as the database is told to make
    commits (``synchronous_commit``, ``innodb_flush_log_at_trx_commit``). An SQLite file by its URL
    is opened with a write-ahead log that is synced with every commit; but
    :class:`~iop_async.stores.SQLiteStore` is much faster there, and does more for the file.

    Deadlocks, broken connections and a database that starts again are borne a few times before
    they are a ``StoreError``, which repeats no statement and no row, and keeps no cause that does.

    Constructing does no I/O. It runs under asyncio only, as SQLAlchemy does, in one event loop at
    a time; an engine of its own follows it from one to the next, and into a forked process. Tasks
    of its own do the work: a caller that is cancelled takes nothing back, and a claim that it will
    not hear of is undone.

    Args:
        engine: a URL, for example ``postgresql://user:password@host/database`` (the drivers are
            asyncpg, aiomysql and aiosqlite where it names none), or an engine of yours. Yours may
            have any pool and any isolation level, because the store sets the one that it needs
            where it needs it; it is not disposed of. To log its statements without what is in
            them, make it with ``hide_parameters=True``.
        table_prefix: what the names of the tables begin with.
        timeout: seconds for one transaction, before it is begun once more or ``StoreError``, and
            as many for connecting before it. An engine of yours bounds connecting by itself (with
            asyncpg, ``connect_args={"timeout": 10}``); the store gives it 30 seconds more than
            these, in which a connection of its pool may become free. Of its own engine, PostgreSQL
            and MariaDB are told to end a transaction that stands still for a second longer: a host
            that is gone without a word must not keep a seller locked. Tell yours the same
            (``idle_in_transaction_session_timeout``, ``idle_transaction_timeout``); MySQL knows
            only ``wait_timeout``.
    """

    def __init__(
        self, engine: str | AsyncEngine, *, table_prefix: str = "iop_", timeout: float = 10.0
    ) -> None:
        if not (math.isfinite(timeout) and timeout > 0):
            msg = f"timeout is a positive number of seconds, not {timeout}"
            raise ValueError(msg)
        self._tables: Final = _tables.make_tables(table_prefix, SENT)
        self._metadata: Final = _tables.make_tables(table_prefix).metadata
        self._engine: Final = open_engine(engine, timeout)
        self._tasks = Tasks(self._engine.where, "SQLAlchemy")
        self._transactions = Transactions(self._engine, self._tables, timeout=timeout)

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
        """Make the tables that are missing. Several hosts may do so at once, and again."""
        await self._tasks.run(self._transactions.create_tables)

    async def _open(self) -> None:
        await self._tasks.run(partial(self._transactions.read, _nothing))

    async def get(self, scope: str, seller: str) -> Record | None:
        """The record that ``seller`` finds."""
        get = partial(_reads.get, scope=scope, seller=seller)
        return await self._tasks.run(partial(self._transactions.read, get))

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`."""
        check_record(record)
        return await self._tasks.run(partial(self._put, record, release))

    async def _put(self, record: Record, release: str | None) -> Record:
        # repeated after a lost acknowledgement, the first finds nothing to do, and the second
        # that it was done
        tries = Tries()
        replace = partial(_writes.replace, record=record, release=release)
        if record.revision and await self._transactions.write(replace, tries):
            return evolve(record, revision=record.revision + 1)

        async def put(db: AsyncConnection, say: Statements) -> Record:
            return await _writes.put(db, say, record, release, again=tries.may_be_done)

        return await self._transactions.write(put, tries)

    async def remove(self, scope: str, seller: str) -> bool:
        """Forget the record that ``seller`` finds; whether there was one."""
        return await self._tasks.run(partial(self._remove, scope, seller))

    async def _remove(self, scope: str, seller: str) -> bool:
        tries = Tries()
        found: dict[int, int] = {}

        async def remove(db: AsyncConnection, say: Statements) -> bool:
            nonlocal found
            if tries.may_be_done:
                await _writes.remove(db, say, scope, seller, only=found)
            else:
                found = await _writes.remove(db, say, scope, seller)
            return bool(found)

        return await self._transactions.write(remove, tries)

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, those that die first first.

        A record that another host is claiming or writing at this moment is passed by.
        """
        check_lease(seconds)
        require_aware("due_by", due_by)
        if limit <= 0:
            return []
        wish = _leases.Wish(
            scope=scope, due_by=to_micros(due_by), limit=limit, holder=holder, seconds=seconds
        )
        claim = partial(_leases.claim, wish=wish)
        claimed = await self._tasks.run(
            partial(self._transactions.write, claim), undo=self._unclaim
        )
        return claimed.records

    async def _unclaim(self, claimed: _leases.Claimed) -> None:
        await self._transactions.write(partial(_leases.unclaim, claimed=claimed))

    async def lease(self, scope: str, seller: str, *, holder: str, seconds: float) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back."""
        check_lease(seconds, may_be_zero=True)
        tries = Tries()

        async def take(db: AsyncConnection, say: Statements) -> Record | None:
            if seconds:
                return await _leases.take(db, say, scope, seller, holder, seconds)
            again = tries.may_be_done
            return await _leases.give_back(db, say, scope, seller, holder, again=again)

        return await self._tasks.run(partial(self._transactions.write, take, tries))

    async def next_due(self, scope: str) -> datetime | None:
        """When :meth:`claim` will find something next, leases considered."""
        next_due = partial(_leases.next_due, scope=scope)
        micros = await self._tasks.run(partial(self._transactions.read, next_due))
        return None if micros is None else from_micros(micros)

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order; read in pages, so that memory does not grow."""

        async def page(after: int) -> tuple[list[Record], int | None]:
            read = partial(_reads.page, scope=scope, after=after)
            return await self._tasks.run(partial(self._transactions.read, read))

        return Pages(page, 0)

    async def aclose(self) -> None:
        """Finish what was asked for, and dispose of an engine made from a URL; again: nothing."""
        await self._tasks.aclose(self._transactions.aclose)


async def _nothing(db: AsyncConnection, say: Statements) -> None:
    """For its side effect: the database is reached, and has the tables."""
