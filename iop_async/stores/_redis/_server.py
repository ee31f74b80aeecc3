"""Has a server run scripts, whatever becomes of the caller, and in bounded time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

from attrs import define, field
from redis.asyncio import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import MaxConnectionsError, NoScriptError

from ..._exceptions import StoreError
from .._tasks import Tasks
from ._clients import Client, most_connections, name_of
from ._durability import look_at
from ._errors import is_astray, is_lost, store_error
from ._scripts import Script

T = TypeVar("T")

_logger = logging.getLogger("iop_async.stores")

_AT_ONCE: Final = 16
"""Commands under way at once: a server does one after the other, and more are only sockets."""

_CROWDED: Final = 30.0
"""Seconds in which the turn of a command comes, or it is not sent."""


@define
class Exchange:
    """A script to run.

    Attributes:
        again: running it a second time does no harm, so that it may be where the answer was lost.
        was_lost: its answer was, and it is sent again: it may have been done before.
    """

    script: Script
    keys: tuple[bytes, ...]
    args: tuple[bytes | int, ...] = field(repr=False)
    again: bool = False
    was_lost: bool = False


class Server:
    """What a client connects to.

    A task that is cancelled while it waits takes nothing back: the exchange belongs to this object
    and is ended by it, so that a write is made all the same, and a connection is never left with
    half an answer in it.

    Args:
        client: of redis-py.
        timeout: seconds for an exchange, once its turn has come.
        owned: the client is this object's to close.
    """

    def __init__(self, client: Client, *, timeout: float, owned: bool) -> None:
        self.name = name_of(client)
        self._client = client
        self._timeout = timeout
        self._owned = owned
        self._slots = asyncio.Semaphore(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks = Tasks(self.name, "redis-py")
        self._begun = False

    async def run(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        undo: Callable[[T], Coroutine[Any, Any, object]] | None = None,
    ) -> T:
        """Do ``work``, which makes exchanges, and return what it returned.

        Args:
            undo: done afterwards where the caller was cancelled while it waited.
        """
        self._tasks.require_asyncio()
        self._loop = self._loop or asyncio.get_running_loop()
        self._require_its_loop()
        return await self._tasks.run(work, undo=undo)

    def _require_its_loop(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            error = StoreError(
                f"{self.name}: this store belongs to the event loop that used it first; make a new "
                "one"
            )
            error.retryable = False
            raise error

    async def exchange(self, exchange: Exchange) -> Any:
        """Run a script; what it returned, as bytes."""
        try:
            async with self._slot():
                return await self._once_or_twice(exchange)
        except Exception as exc:  # noqa: BLE001 - clients of others raise what they like
            error = store_error(exc, self.name)
        raise error

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_CROWDED):
                await self._slots.acquire()
        except TimeoutError:
            raise MaxConnectionsError from None
        try:
            yield
        finally:
            self._slots.release()

    async def _once_or_twice(self, exchange: Exchange) -> Any:
        try:
            return await self._once(exchange)
        except Exception as exc:
            exchange.was_lost = exchange.again and is_lost(exc)
            if not exchange.was_lost and not is_astray(exc):
                raise
        await self._renew_connections()
        return await self._once(exchange)

    async def _once(self, exchange: Exchange) -> Any:
        async with asyncio.timeout(self._timeout):
            answer = await self._send(exchange)
        if not self._begun:
            self._begun = True
            await self._look()
            self._let_more_in()
        return answer

    def _let_more_in(self) -> None:
        # The first command was alone: it has a client for clusters find the nodes, which goes
        # wrong where several tasks make it do so at once.
        for _ in range(1, most_connections(self._client, _AT_ONCE)):
            self._slots.release()

    async def _send(self, exchange: Exchange) -> Any:
        script = exchange.script
        rest = (len(exchange.keys), *exchange.keys, *exchange.args)
        options: dict[str, Any] = {NEVER_DECODE: True}
        try:
            return await self._client.execute_command("EVALSHA", script.sha, *rest, **options)
        except NoScriptError:
            return await self._client.execute_command("EVAL", script.text, *rest, **options)

    async def _renew_connections(self) -> None:
        """What broke one connection, or leads it astray, does so with the others too."""
        if not isinstance(self._client, Redis):
            return
        pool: Any = self._client.connection_pool
        with suppress(Exception):
            # Taken out at one stroke: pool.disconnect() would close what others take meanwhile.
            idle, pool._available_connections = pool._available_connections, []
            if hasattr(pool, "update_active_connections_for_reconnect"):  # not in every release
                await pool.update_active_connections_for_reconnect()
            await asyncio.gather(*(one.disconnect() for one in idle), return_exceptions=True)

    async def _look(self) -> None:
        with suppress(Exception):  # what is not known is no reason to fail
            async with asyncio.timeout(self._timeout):
                for weakness in await look_at(self._client):
                    _logger.warning("%s: %s", self.name, weakness)

    async def aclose(self) -> None:
        """Finish what was asked for and close the client, if it is ours."""
        if self._loop is not None:
            self._require_its_loop()
        await self._tasks.aclose(self._release)

    async def _release(self) -> None:
        if self._owned:
            await self._client.aclose()
