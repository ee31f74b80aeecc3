"""Connections that nobody needs any more are let go.

A pool of SQLAlchemy's keeps what it once opened. A pooler in session mode lends each of those a
connection to the server for as long as it is there, so that other processes would wait in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from attrs import define, field
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from ._poolers import is_pooled

_LET_GO_TIMEOUT: Final = 5.0
"""Seconds to say goodbye to the server; what is left then goes the next time."""

_POOLED_TIMEOUT: Final = 5.0
"""Seconds behind a pooler at most: a new connection costs little there, and others wait for it."""


@define(eq=False)
class IdleConnections:
    """Looks, while an engine of ours is used, whether it has more of them than it needed lately.

    Args:
        engine: whose connections they are.
        idle_timeout: seconds after which it looks.
    """

    _engine: AsyncEngine
    _idle_timeout: float
    _in_use: int = 0
    _peak: int = 0
    _timer: asyncio.TimerHandle | None = None
    _disposal: asyncio.Task[None] | None = field(default=None, init=False)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[AsyncConnection]:
        """A connection of the engine."""
        self._in_use += 1
        self._peak = max(self._peak, self._in_use)
        try:
            async with self._engine.connect() as db:
                yield db
                if is_pooled(db):
                    self._idle_timeout = min(self._idle_timeout, _POOLED_TIMEOUT)
        finally:
            self._in_use -= 1
            self._look_later()

    def _look_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._idle_timeout, self._look)

    def _look(self) -> None:
        self._timer = None
        pool: Any = self._engine.pool
        if pool.checkedin() + pool.checkedout() > self._peak:
            self._disposal = asyncio.get_running_loop().create_task(self._let_go())
        elif self._peak:
            self._look_later()
        self._peak = self._in_use

    async def _let_go(self) -> None:
        pool = self._engine.pool
        with suppress(Exception):  # they are of no more use, whatever is wrong with them
            async with asyncio.timeout(_LET_GO_TIMEOUT):
                await self._engine.dispose()
            # those in use come back to the pool that was left, where nobody would close them
            event.listen(pool, "checkin", _close)

    async def aclose(self) -> None:
        """Look no more."""
        disposal = self._disposal
        self.forget_loop()
        if disposal is not None and disposal.get_loop() is asyncio.get_running_loop():
            disposal.cancel()
            await asyncio.wait((disposal,))

    def forget_loop(self) -> None:
        """Another event loop uses the engine now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._disposal, self._in_use, self._peak = None, None, 0, 0


def _close(_connection: object, record: ConnectionPoolEntry) -> None:
    record.close()
