"""Transactions, begun again where the database or the network stood in their way."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Lock
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from random import uniform
from time import monotonic
from typing import Final, TypeAlias, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from . import _setup
from ._engines import Engine
from ._errors import Failure, Remedy, look_at
from ._statements import Statements
from ._tables import Tables

T = TypeVar("T")
Operation: TypeAlias = Callable[[AsyncConnection, Statements], Awaitable[T]]

_LOOK_AGAIN: Final = 60.0
"""Seconds after which the version of the tables is looked at again: others may have raised it."""

_PATIENCE: Final = 30.0
"""Seconds after which nothing is tried again: a dead host takes minutes each time."""

_CROWDED: Final = 30.0
"""Seconds in which a connection of the pool becomes free, or the pool says that none does."""

_NAP: Final = 0.2
"""The longest pause in seconds before another try: those who met must not keep step."""


class Transactions:
    """Does operations with an engine, each in a transaction that is durable when it ends.

    An operation may be done several times, each time but the last in vain, or unknown to have been
    done when the connection broke. It has to stand that.

    Args:
        timeout: seconds for each transaction, once it has a connection.
    """

    def __init__(self, engine: Engine, tables: Tables, *, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._tables = tables
        self._say: Statements | None = None
        self._look_at_version = 0.0
        self._loop: AbstractEventLoop | None = None
        self._turn: Lock | nullcontext[None] = nullcontext()

    async def read(self, operation: Operation[T]) -> T:
        """Do what consists of statements that are each right by themselves."""
        return await self._patiently(partial(self._do, operation))

    async def write(self, operation: Operation[T]) -> T:
        """Do all of it or nothing."""
        return await self._patiently(partial(self._do_alone, operation), isolates=True)

    async def create_tables(self) -> None:
        """Make what is missing."""
        create = partial(_setup.create_tables, tables=self._tables, where=self._engine.where)
        await self._patiently(create, isolates=True)

    async def _patiently(self, do: Operation[T], *, isolates: bool = False) -> T:
        tries = dict.fromkeys(Remedy, 0)
        until = monotonic() + _PATIENCE
        while True:
            try:
                async with self._connected() as db:
                    if isolates and not self._engine.is_own:
                        level = self._engine.database.isolation
                        await db.execution_options(isolation_level=level)
                    return await do(db, self._statements(db))
            except StoreError:
                raise
            except Exception as exc:  # noqa: BLE001 - drivers raise what they like
                failure, code = look_at(exc)
                error = self._error(failure, code, exc)
            # The error is raised outside of the handler, or it would carry the driver's along.
            tries[failure.remedy] += 1
            if tries[failure.remedy] > failure.remedy.value or monotonic() > until:
                raise error
            await asyncio.sleep(uniform(0, min(_NAP, 0.01 * 2 ** sum(tries.values()))))

    def _error(self, failure: Failure, code: str, exc: Exception) -> StoreError:
        error = failure.error(self._engine.where, code)
        module = type(exc).__module__.partition(".")[0]
        if module == "builtins" and not isinstance(exc, OSError):
            exc.__context__ = None
            error.__cause__ = exc.with_traceback(None)  # a fault, and none of the database's words
        return error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        self._come_home()
        async with (
            self._turn,
            asyncio.timeout(_CROWDED + self._timeout) as limit,
            self._engine.pool.connect() as db,
        ):
            limit.reschedule(asyncio.get_running_loop().time() + self._timeout)
            try:
                yield db
            except Exception as exc:
                if look_at(exc)[0].remedy is Remedy.FRESH_CONNECTION:
                    await db.invalidate()  # the pool would hand it out again
                raise

    def _come_home(self) -> None:
        """Begin anew in an event loop that is not the last one; connections belong to theirs."""
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._engine.is_own:
            self._engine.pool.sync_engine.dispose(close=False)
        self._loop = loop
        self._turn = Lock() if self._engine.serves_one else nullcontext()

    async def _do(self, operation: Operation[T], db: AsyncConnection, say: Statements) -> T:
        if monotonic() >= self._look_at_version:
            await _setup.require_version(db, say, self._engine.where)
            self._look_at_version = monotonic() + _LOOK_AGAIN
        result = await operation(db, say)
        await db.commit()
        return result

    async def _do_alone(self, operation: Operation[T], db: AsyncConnection, say: Statements) -> T:
        async def in_turn(db: AsyncConnection, say: Statements) -> T:
            await db.execute(say.take_turn)
            return await operation(db, say)

        is_alone = self._engine.database.has_one_writer
        return await self._do(in_turn if is_alone else operation, db, say)

    def _statements(self, db: AsyncConnection) -> Statements:
        if self._say is None:
            # known only now, because the server tells its version when it is connected to
            skips_locked = self._engine.database.skips_locked(db.dialect)
            self._say = Statements(self._tables, self._engine.database, skips_locked=skips_locked)
        return self._say

    async def aclose(self) -> None:
        """Dispose of the engine, if it is not the user's."""
        if not self._engine.is_own:
            return
        is_home = self._loop in {None, asyncio.get_running_loop()}
        await self._engine.pool.dispose(close=is_home)
