"""Transactions, retried after deadlocks, lost connections and time-outs."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Lock, Semaphore
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from random import uniform
from time import monotonic
from typing import Final, Literal, TypeAlias, TypeVar

from attrs import define
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from . import _setup
from ._engines import Engine
from ._errors import UNREACHABLE, Remedy, classify, is_undone
from ._sql import Sql
from ._tables import Tables

T = TypeVar("T")
Operation: TypeAlias = Callable[[AsyncConnection, Sql], Awaitable[T]]

_VERSION_MAX_AGE: Final = 60.0
"""Seconds after which the version of the tables is looked at again: others may have raised it."""

_RETRY_TIMEOUT: Final = 30.0
"""Seconds after which nothing is retried: a dead host takes minutes each time."""

_POOL_TIMEOUT: Final = 30.0
"""Seconds to wait for a free connection of the pool."""

_DISPOSE_TIMEOUT: Final = 5.0
"""Seconds to say goodbye to the server; then the connections are just cut."""

_RETRY_MIN_PAUSE: Final = 0.01
_RETRY_MAX_PAUSE: Final = 0.2
"""Bounds in seconds of the exponential backoff; its jitter keeps those apart who deadlocked."""


@define
class Attempts:
    """The earlier attempts of an operation.

    Attributes:
        may_be_done: one of them lost the answer to its commit. Those that failed before are undone.
    """

    may_be_done: bool = False


class PoolSlots(Semaphore):
    """A semaphore in front of an engine of ours, as large as its connection pool.

    A pool's own time-out covers both the wait for a free connection and the making of a new one.
    With the wait out here, each has a time-out of its own.
    """

    async def acquire(self) -> Literal[True]:
        """A slot; raises what a pool raises when none becomes free in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POOL_TIMEOUT):
                return await super().acquire()
        raise sa.TimeoutError


class Transactions:
    """Runs operations with an engine, each in a transaction that is durable when it ends.

    An operation may run several times: rolled back each time but the last, or committed by a
    server that broke off before it said so. It has to be idempotent under that;
    :class:`Attempts` may help it.

    Args:
        timeout: seconds for each transaction, once it has a connection; and for connecting, but
            with the user's engine.
    """

    def __init__(self, engine: Engine, tables: Tables, *, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._tables = tables
        self._sql: Sql | None = None
        self._version_valid_until = 0.0
        self._loop: AbstractEventLoop | None = None
        self._slot: Lock | Semaphore | nullcontext[None] = nullcontext()

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation whose statements are each right by themselves, and write nothing."""
        return await self._with_retries(partial(self._each, operation, operation, Attempts()))

    async def write_each(self, operation: Operation[T], attempts: Attempts | None = None) -> T:
        """Run an operation whose statements are each right by themselves.

        Where that saves round trips, each is committed by itself.
        """
        in_turn = partial(self._in_turn, operation)
        run = partial(self._each, operation, in_turn, attempts or Attempts())
        return await self._with_retries(run)

    async def write(self, operation: Operation[T], attempts: Attempts | None = None) -> T:
        """Run all of an operation or nothing; ``attempts`` tells it of those before."""
        in_turn = partial(self._in_turn, operation)
        run = partial(self._commit, in_turn, attempts or Attempts())
        return await self._with_retries(run)

    async def try_once(
        self, operation: Operation[T], attempts: Attempts, *, is_one_statement: bool
    ) -> T | StoreError | None:
        """Run an operation on many records once.

        Returns the error where the database cannot be reached, and ``None`` where it failed
        otherwise: whatever was wrong with one record, the others are to be tried by themselves.
        """
        in_turn = partial(self._in_turn, operation)
        if is_one_statement:
            run = partial(self._each, operation, in_turn, attempts)
        else:
            run = partial(self._commit, in_turn, attempts)
        try:
            async with self._connected() as db:
                return await run(db, await self._statements(db))
        except StoreError:
            return None
        except Exception as exc:  # noqa: BLE001 - drivers raise what they like
            failure, code = classify(exc)
        return failure.error(self._engine.where, code) if failure in UNREACHABLE else None

    async def rehearse(self, operation: Operation[T]) -> T:
        """Run an operation as :meth:`write` does, to find out whether it can be; and undo it."""

        async def rehearse(db: AsyncConnection, sql: Sql) -> T:
            await _setup.require_version(db, sql, self._engine.where)
            result = await self._in_turn(operation, db, sql)
            await db.rollback()
            return result

        return await self._with_retries(rehearse)

    async def create_tables(self) -> None:
        """Make what is missing, and bring up to date what an older release made."""

        async def create(db: AsyncConnection, sql: Sql) -> None:
            await self._engine.isolate(db)
            await _setup.create_tables(db, sql, tables=self._tables, where=self._engine.where)
            self._sql = None  # of tables that may have been others

        await self._with_retries(create)

    async def _with_retries(self, run: Operation[T]) -> T:
        attempts = dict.fromkeys(Remedy, 0)
        until = monotonic() + _RETRY_TIMEOUT
        while True:
            try:
                async with self._connected() as db:
                    return await run(db, await self._statements(db))
            except StoreError:
                raise
            except Exception as exc:  # noqa: BLE001 - drivers raise what they like
                failure, code = classify(exc)
                error = failure.error(self._engine.where, code)
            # The error is raised outside of the handler, or it would carry the driver's along.
            attempts[failure.remedy] += 1
            if attempts[failure.remedy] > failure.remedy.value or monotonic() > until:
                raise error
            backoff = _RETRY_MIN_PAUSE * 2 ** sum(attempts.values())
            await asyncio.sleep(uniform(0, min(_RETRY_MAX_PAUSE, backoff)))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        self._bind_to_loop()
        # the user's pool does not tell whether it has one wait for a connection or makes it
        seconds = self._timeout if self._engine.is_own else _POOL_TIMEOUT + self._timeout
        async with (
            self._slot,
            asyncio.timeout(seconds) as limit,
            self._engine.connect() as db,
        ):
            limit.reschedule(asyncio.get_running_loop().time() + self._timeout)
            try:
                if self._engine.connections is not None:
                    await self._engine.connections.look_at(db)
                yield db
            except Exception as exc:
                if classify(exc)[0].remedy is Remedy.RECONNECT:
                    await db.invalidate()  # the pool would hand it out again
                raise

    def _bind_to_loop(self) -> None:
        """Move to the running event loop: drop connections and locks that belong to another."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._engine.is_own:
            if self._engine.idle is not None:
                self._engine.idle.forget_loop()
            self._engine.pool.sync_engine.dispose(close=False)
        self._loop = loop
        if self._engine.serves_one:
            self._slot = Lock()
        elif self._engine.pool_size is not None:
            self._slot = PoolSlots(self._engine.pool_size)

    async def _require_version(self, db: AsyncConnection, sql: Sql) -> None:
        if monotonic() >= self._version_valid_until:
            await _setup.require_version(db, sql, self._engine.where)
            self._version_valid_until = monotonic() + _VERSION_MAX_AGE

    async def _each(
        self,
        operation: Operation[T],
        in_transaction: Operation[T],
        attempts: Attempts,
        db: AsyncConnection,
        sql: Sql,
    ) -> T:
        if not await self._engine.autocommits(db):
            return await self._commit(in_transaction, attempts, db, sql)
        await self._require_version(db, sql)
        try:
            return await operation(db, sql)
        except BaseException as exc:
            attempts.may_be_done = attempts.may_be_done or not is_undone(exc)
            raise

    async def _commit(
        self, operation: Operation[T], attempts: Attempts, db: AsyncConnection, sql: Sql
    ) -> T:
        await self._require_version(db, sql)
        result = await operation(db, sql)
        try:
            await db.commit()
        except BaseException as exc:
            attempts.may_be_done = attempts.may_be_done or not is_undone(exc)
            raise
        return result

    async def _in_turn(self, operation: Operation[T], db: AsyncConnection, sql: Sql) -> T:
        await self._engine.isolate(db)
        if self._engine.database.has_one_writer:
            await db.execute(sql.lock_database)
        await self._engine.begin(db)
        return await operation(db, sql)

    async def _statements(self, db: AsyncConnection) -> Sql:
        if self._sql is not None:
            return self._sql
        # known only now, because the server tells its version when it is connected to
        skips_locked = self._engine.database.skips_locked(db.dialect)
        has_minutes = await _setup.has_minutes(db, self._tables)
        self._sql = Sql(
            self._tables,
            self._engine.database,
            skips_locked=skips_locked,
            has_minutes=has_minutes,
        )
        return self._sql

    async def aclose(self) -> None:
        """Dispose of the engine, if it is not the user's; do not wait for a silent server."""
        if self._engine.pool_size is None:
            return
        if self._engine.idle is not None:
            await self._engine.idle.aclose()
        is_same_loop = self._loop in {None, asyncio.get_running_loop()}
        # a time-out cuts one connection off, and leaves the others to the next round
        for seconds in (_DISPOSE_TIMEOUT, *[0] * self._engine.pool_size):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._engine.pool.dispose(close=is_same_loop)
                    return
