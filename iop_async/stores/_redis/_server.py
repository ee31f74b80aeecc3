"""Has a server run scripts, whatever becomes of the caller, and in bounded time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from attrs import define, field
from redis.asyncio import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import NoScriptError

from ..._exceptions import StoreError
from .._tasks import Tasks
from ._clients import Client, most_connections, name_of
from ._durability import look_at
from ._errors import is_lost, store_error
from ._scripts import Script

T = TypeVar("T")

_logger = logging.getLogger("iop_async.stores")

_AT_ONCE: Final = 16
"""Commands under way at once: a server does one after the other, and more are only sockets."""


@define
class Exchange:
    """A script to run.

    Attributes:
        again: running it a second time does no harm, so that it may be where the answer was lost.
        tries: how often it was sent.
    """

    script: Script
    keys: tuple[bytes, ...]
    args: tuple[bytes | int, ...] = field(repr=False)
    again: bool = False
    tries: int = 0


class Server:
    """What a client connects to.

    A task that is cancelled while it waits takes nothing back: the exchange belongs to this object
    and is ended by it, so that a write is made all the same, and a connection is never left with
    half an answer in it.

    Args:
        client: of redis-py.
        timeout: seconds for an exchange.
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
            return await self._once(exchange)
        except Exception as exc:  # noqa: BLE001 - clients of others raise what they like
            failure = exc
        if exchange.again and is_lost(failure):
            await self._drop_idle()
            try:
                return await self._once(exchange)
            except Exception as exc:  # noqa: BLE001
                failure = exc
        error = store_error(failure, self.name)
        del failure
        raise error

    async def _once(self, exchange: Exchange) -> Any:
        async with asyncio.timeout(self._timeout), self._slots:
            exchange.tries += 1
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

    async def _drop_idle(self) -> None:
        """What broke one connection has broken the others too."""
        if self._owned and isinstance(self._client, Redis):
            with suppress(Exception):
                await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _look(self) -> None:
        with suppress(Exception):  # what is not known is no reason to fail
            async with asyncio.timeout(self._timeout):
                for weakness in await look_at(self._client):
                    _logger.warning("%s: %s", self.name, weakness)

    async def aclose(self) -> None:
        """Finish what was asked for and close the client, if it is ours."""
        if self._loop is None:
            return
        self._require_its_loop()
        await self._tasks.aclose(self._release)

    async def _release(self) -> None:
        if self._owned:
            await self._client.aclose()
