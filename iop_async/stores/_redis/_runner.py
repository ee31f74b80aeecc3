"""Running scripts on a server, whatever becomes of the caller, and in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import Any, Final, TypeVar

from anyio.lowlevel import current_token
from attrs import define, field
from redis.client import NEVER_DECODE
from redis.exceptions import MaxConnectionsError

from ..._exceptions import StoreError
from ..._http.loops import PerLoop, start_in
from ..._logs import own_logger
from ...protocols import StoreReport
from .._tasks import Tasks
from ._clients import ClientSource, is_cluster
from ._errors import (
    NotReplicatedError,
    RecordTooLargeError,
    is_astray,
    is_lost,
    is_of_no_master,
    is_of_no_script,
    store_error,
)
from ._loop_client import LoopClient
from ._scripts import Script
from ._settings import longest_argument, look_at, replicas_asked_for

T = TypeVar("T")

_log = own_logger("iop_async.stores")

_SLOT_TIMEOUT: Final = 30.0
"""Seconds in which the turn of a command comes, or it is not sent."""


@define
class ScriptCall:
    """A script with its keys and arguments.

    Attributes:
        is_idempotent: a second run does no harm, so that it is repeated where the answer was lost.
        joins: it may travel with others: it is short, and may be repeated if they fail.
        was_lost: its answer was, and it is sent again: it may have been done before.
        answer: what the server said last, also where its replicas did not hear of it in time.
    """

    script: Script
    keys: tuple[bytes, ...]
    args: tuple[bytes | int, ...] = field(repr=False)
    is_idempotent: bool = False
    was_lost: bool = False
    answer: Any = field(default=None, repr=False)
    joins: bool = field(init=False)

    @joins.default
    def _joins(self) -> bool:
        is_short = sum(len(arg) for arg in self.args if isinstance(arg, bytes)) < _JOINED_MAX_BYTES
        return self.is_idempotent and is_short and self.script.name in _JOINED


_WAITS_IN_TIMEOUT: Final = 5
"""Part of a call's time-out in which replicas must have it: they do in milliseconds, or not."""

_BEGINNINGS: Final = frozenset({"claim", "lease"})
"""Scripts that a refresh begins with: what it brings must find the same server again."""

_JOINED: Final = frozenset({"get", "lease", "put"})
"""Scripts that the server is done with at once, so that nobody waits for long behind one."""

_JOINED_MAX_BYTES: Final = 2**16
"""Bytes of arguments; what is longer travels alone."""

_KEPT: Final = frozenset({"check", "claim", "lease", "put", "put_many", "remove"})
"""Scripts whose effect must outlive the server, where another may take its place."""


class ScriptRunner:
    """Runs scripts on what a client connects to, in any number of event loops.

    A task that is cancelled while it waits takes nothing back: the call belongs to this object
    and is ended by it, so that a write is made all the same, and a connection is never left with
    half an answer in it.

    Args:
        source: where the client of an event loop comes from.
        timeout: seconds for a call, once its turn has come.
    """

    def __init__(self, source: ClientSource, *, timeout: float) -> None:
        self.name = source.name
        self._source = source
        self._timeout = timeout
        self._clients = PerLoop(self._client_of_this_loop)
        self._users_loop: asyncio.AbstractEventLoop | None = None
        self._tasks = Tasks(self.name, "redis-py")

    def _client_of_this_loop(self) -> LoopClient:
        return LoopClient(self._source.client(), self._source.is_own, self._timeout)

    async def run(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        undo: Callable[[T], Coroutine[Any, Any, object]] | None = None,
    ) -> T:
        """Do ``work``, which executes calls, and return what it returned.

        Args:
            undo: done afterwards where the caller was cancelled while it waited.
        """
        if not self._source.is_own:
            self._require_the_users_loop()
        return await self._tasks.run(work, undo=undo)

    def _require_the_users_loop(self) -> None:
        self._tasks.require_asyncio()
        here = asyncio.get_running_loop()
        self._users_loop = self._users_loop or here
        if self._users_loop is not here:
            msg = (
                f"{self.name}: the client belongs to the event loop that used it first. Give the "
                "store a URL, and it has a client in each; or make client and store anew in each"
            )
            raise StoreError(msg, retryable=False)

    async def execute(self, call: ScriptCall) -> Any:
        """Run a script; returns its answer as bytes. Raises ``StoreError``."""
        here = self._clients.here()
        try:
            await here.watch_loop()
            async with self._turn(here.turns(joins=call.joins)):
                answer = await self._once_or_twice(here, call)
                if not here.begun:
                    await self._look(here)
                    here.let_more_in()
                return answer
        except Exception as exc:  # noqa: BLE001 - clients of others raise what they like
            error = store_error(exc, self.name)
        raise error

    @asynccontextmanager
    async def _turn(self, turns: asyncio.Semaphore) -> AsyncIterator[None]:
        try:
            # a timer costs more than the turn that is there already
            async with asyncio.timeout(_SLOT_TIMEOUT) if turns.locked() else nullcontext():
                await turns.acquire()
        except TimeoutError:
            raise MaxConnectionsError from None
        try:
            yield
        finally:
            turns.release()

    async def _once_or_twice(self, here: LoopClient, call: ScriptCall) -> Any:
        try:
            return await self._once(here, call)
        except Exception as exc:
            call.was_lost = call.is_idempotent and is_lost(exc)
            if not call.was_lost and not is_astray(exc):
                raise
        await here.renew_connections()
        return await self._once(here, call)

    async def _once(self, here: LoopClient, call: ScriptCall) -> Any:
        async with asyncio.timeout(self._timeout):
            try:
                await here.follow_master()
            except Exception as exc:
                # a pair that is here already had better go to the master that we knew
                if not is_of_no_master(exc) or call.script.name in _BEGINNINGS:
                    raise
            try:
                return await self._send(here, call, "EVALSHA", call.script.sha)
            except Exception as exc:
                if not is_of_no_script(exc):
                    raise
            return await self._send(here, call, "EVAL", call.script.text)

    async def _send(self, here: LoopClient, call: ScriptCall, *command: str | bytes) -> Any:
        sent = (*command, len(call.keys), *call.keys, *call.args)
        options: dict[str, Any] = {NEVER_DECODE: True}
        if call.script.name not in _KEPT:
            return await here.send(sent, options, joins=call.joins)
        patience = self._timeout / _WAITS_IN_TIMEOUT
        call.answer, is_kept = await here.send_kept(
            sent, options, joins=call.joins, patience=patience
        )
        if not is_kept:
            raise NotReplicatedError
        return call.answer

    async def _look(self, here: LoopClient) -> None:
        with suppress(Exception):  # what is not known is no reason to fail
            async with asyncio.timeout(self._timeout):
                if not here.is_guarded and not is_cluster(here.client):
                    here.replicas = await replicas_asked_for(here.client)
                for weakness in (await look_at(here.client, self.name)).warnings:
                    _log.warning("%s: %s", self.name, weakness)

    async def require_room(self, length: int) -> None:
        """Raises ``StoreError`` where the server takes no argument as long.

        It would say so itself, and close the connection with what it did not read: often its word
        is lost with that.
        """
        limit = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                limit = await longest_argument(self._clients.here().client)
        if limit is not None and length > limit:
            raise store_error(RecordTooLargeError(), self.name)

    async def report(self) -> StoreReport:
        """What the server promises. Raises ``StoreError``."""
        try:
            async with asyncio.timeout(self._timeout):
                return await look_at(self._clients.here().client, self.name)
        except Exception as exc:  # noqa: BLE001 - as for any command
            error = store_error(exc, self.name)
        raise error

    async def aclose(self) -> None:
        """Finish what was asked for and close the clients that are ours.

        That of this event loop is closed when this returns; others are told to close theirs.
        """
        if not self._source.is_own:
            self._require_the_users_loop()
        await self._tasks.aclose(self._release)

    async def _release(self) -> None:
        here = current_token()
        for event_loop, client in self._clients.items():
            if event_loop == here:
                await client.aclose()
            else:
                start_in(event_loop, partial(self._tasks.finish, client.aclose))
