"""Push messages on their way to the app's handler: each once, and never too many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from inspect import iscoroutinefunction, isroutine
from typing import Any, Final, Literal, TypeAlias

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from ..._exceptions import IopError, UnknownSeller
from ..._logs import own_logger
from ...tokens import TokenManager
from ...webhooks import PushMessage
from ._once import Once

_log = own_logger("iop_async.web")

Handler: TypeAlias = Callable[[PushMessage], Awaitable[None] | None]
Verdict: TypeAlias = Literal["taken", "repeated", "full"]

_REMEMBERED: Final = timedelta(hours=7)  # 120164: 12 more tries, every 30 minutes
_BODY_TIMEOUT: Final = 10.0


class TooLarge(Exception):
    """A body is larger than any message."""


async def read_body(request: Request, limit: int) -> bytes:
    """The raw body, of which never more than ``limit`` bytes are in memory.

    Raises:
        TooLarge: it is longer.
        TimeoutError: it does not come to its end.
    """
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limit:
        raise TooLarge
    body = bytearray()
    with anyio.fail_after(_BODY_TIMEOUT):
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise TooLarge
        except ClientDisconnect:  # cut off: what came is not what was signed
            return b""
    return bytes(body)


class Inbox:
    """Messages that were accepted and are not handled yet.

    Args:
        handler: the app's; one that is no ``async def`` runs in a thread.
        once: of the digests of messages.
        tokens: runs the handler, and is told of sellers whose authorization ends.
        now: the time (aware).
        max_waiting: messages that wait or are handled; more are not accepted.
        concurrency: messages handled at a time.
        timeout: seconds that the handler has for one.
    """

    def __init__(
        self,
        handler: Handler | None,
        *,
        once: Once,
        tokens: TokenManager,
        now: Callable[[], datetime],
        max_waiting: int,
        concurrency: int,
        timeout: float,
    ) -> None:
        self._handler = handler
        self._once = once
        self._tokens = tokens
        self._now = now
        self._max_waiting = max_waiting
        self._timeout = timeout
        self._places = anyio.Semaphore(concurrency)
        self.waiting = 0

    def take(self, message: PushMessage) -> Verdict:
        """Have a message handled soon.

        The tasks are the manager's and not those of requests, for which a server waits before it
        lets the manager end: a handler that hangs must not keep refreshes from being drained.

        Raises:
            RuntimeError: the manager does not run here.
        """
        if self._once.is_known(message.digest):
            return "repeated"
        if self.waiting >= self._max_waiting:
            return "full"
        self._tokens.start_soon(partial(self._work, message))
        self._once.note(message.digest, self._now() + _REMEMBERED)
        self.waiting += 1
        return "taken"

    async def _work(self, message: PushMessage) -> None:
        """Hand a message over, unless another process did."""
        try:
            async with self._places:
                if await self._once.is_first(message.digest, self._now() + _REMEMBERED):
                    with anyio.fail_after(self._timeout):
                        await self._handle(message)
        except anyio.get_cancelled_exc_class():
            _log.error("a push message of type %s was cut off by the end", message.type)
            raise
        except Exception as error:  # noqa: BLE001 - the app's handler may raise anything
            _log.exception(
                "a push message of type %s was not handled (%s); it is accepted if sent again",
                message.type,
                type(error).__name__,
            )
            await self._once.forget(message.digest)
        finally:
            self.waiting -= 1

    async def _handle(self, message: PushMessage) -> None:
        if message.topic == "token_expiry" and message.seller_id is not None:
            await self._tell_expiry(message.seller_id, message.authorization_ends_at)
        if self._handler is not None:
            await call_handler(self._handler, message)

    async def _tell_expiry(self, seller_id: str, ends_at: datetime | None) -> None:
        try:
            await self._tokens.tell_expiry(seller_id, ends_at)
        except UnknownSeller:
            _log.info("the platform tells of the end of an authorization that is not known here")
        except (IopError, ValueError) as error:
            _log.warning("nobody was told of an authorization's end (%s)", type(error).__name__)


async def call_handler(handler: Callable[..., Any], *arguments: object) -> Any:
    """What a handler of the app returns; one that blocks has a thread of its own."""
    called = handler if isroutine(handler) else type(handler).__call__
    if iscoroutinefunction(called):
        return await handler(*arguments)
    outcome = await run_in_threadpool(handler, *arguments)
    return await outcome if hasattr(outcome, "__await__") else outcome
