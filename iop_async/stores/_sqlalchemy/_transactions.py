"""Transactions, begun again where the database or the network stood in their way."""

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
from ._engines import PLACES, Engine
from ._errors import Remedy, look_at
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

_FAREWELL: Final = 5.0
"""Seconds in which the connections of the pool are closed as the protocol wants it."""

_NAP: Final = 0.2
"""The longest pause in seconds before another try: those who met must not keep step."""


@define
class Tries:
    """What is known of the tries of one operation before the one that is being made.

    Attributes:
        may_be_done: one of them lost the answer to its commit. Those that failed before are undone.
    """

    may_be_done: bool = False


class _Places(Semaphore):
    """Those of a pool of ours, waited for outside of it: so connecting has a time of its own."""

    async def acquire(self) -> Literal[True]:
        """Wait no longer than a pool would."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CROWDED):
                return await super().acquire()
        raise sa.TimeoutError


class Transactions:
    """Does operations with an engine, each in a transaction that is durable when it ends.

    An operation may be done several times, each time but the last in vain, or unknown to have been
    done when the connection broke. It has to stand that; :class:`Tries` may help it.

    Args:
        timeout: seconds for each transaction, once it has a connection; and for connecting, but
            with the user's engine.
    """

    def __init__(self, engine: Engine, tables: Tables, *, timeout: float) -> None:
        self._engine = engine
        self._timeout = timeout
        self._tables = tables
        self._say: Statements | None = None
        self._look_at_version = 0.0
        self._loop: AbstractEventLoop | None = None
        self._turn: Lock | Semaphore | nullcontext[None] = nullcontext()

    async def read(self, operation: Operation[T]) -> T:
        """Do what consists of statements that are each right by themselves."""
        return await self._patiently(partial(self._do, operation, Tries()))

    async def write(self, operation: Operation[T], tries: Tries | None = None) -> T:
        """Do all of it or nothing, and let ``tries`` tell the operation of those before."""
        do = partial(self._do_alone, operation, tries or Tries())
        return await self._patiently(do, isolates=True)

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
                error = failure.error(self._engine.where, code)
            # The error is raised outside of the handler, or it would carry the driver's along.
            tries[failure.remedy] += 1
            if tries[failure.remedy] > failure.remedy.value or monotonic() > until:
                raise error
            await asyncio.sleep(uniform(0, min(_NAP, 0.01 * 2 ** sum(tries.values()))))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        self._come_home()
        # the user's pool does not tell whether it has one wait for a connection or makes it
        patience = self._timeout if self._engine.is_own else _CROWDED + self._timeout
        async with (
            self._turn,
            asyncio.timeout(patience) as limit,
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
        if self._engine.serves_one:
            self._turn = Lock()
        elif self._engine.is_own:
            self._turn = _Places(PLACES)

    async def _do(
        self, operation: Operation[T], tries: Tries, db: AsyncConnection, say: Statements
    ) -> T:
        if monotonic() >= self._look_at_version:
            await _setup.require_version(db, say, self._engine.where)
            self._look_at_version = monotonic() + _LOOK_AGAIN
        result = await operation(db, say)
        try:
            await db.commit()
        except BaseException:
            tries.may_be_done = True
            raise
        return result

    async def _do_alone(
        self, operation: Operation[T], tries: Tries, db: AsyncConnection, say: Statements
    ) -> T:
        async def in_turn(db: AsyncConnection, say: Statements) -> T:
            await db.execute(say.take_turn)
            return await operation(db, say)

        is_alone = self._engine.database.has_one_writer
        return await self._do(in_turn if is_alone else operation, tries, db, say)

    def _statements(self, db: AsyncConnection) -> Statements:
        if self._say is None:
            # known only now, because the server tells its version when it is connected to
            skips_locked = self._engine.database.skips_locked(db.dialect)
            self._say = Statements(self._tables, self._engine.database, skips_locked=skips_locked)
        return self._say

    async def aclose(self) -> None:
        """Dispose of the engine, if it is not the user's; wait for no server that is silent."""
        if not self._engine.is_own:
            return
        is_home = self._loop in {None, asyncio.get_running_loop()}
        for seconds in (_FAREWELL, *[0] * PLACES):  # what is cut off is one connection each time
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._engine.pool.dispose(close=is_home)
                    return
