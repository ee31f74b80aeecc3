"""The app: a process that keeps its sellers' tokens, and may be killed.

Run with: the gateway's URL, the panel's URL, and the store's file. Each line of its standard input
is a seller who approved, with the code; at the end of it the process lets what is under way end,
and stops. Its messages are on its standard output: JSON, one object a line.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import anyio

from ..._client import Client
from ..._exceptions import AuthError, IopError, TokenError
from ..._refresh import Freshness
from ..._transport import HttpxTransport
from ...gateways import Iop
from ...stores import SQLiteStore
from ...tokens import EventStream, SellerStatus, TokenManager
from .gateway import APP, SCOPE, FastClock, clock_of

_CALLERS = 12
_INTERVAL = 0.1
"""Seconds of this machine between two calls of one caller, and between two lists of states."""

_BUSY_TIMEOUT = 0.3
"""Seconds of this machine, many simulated ones, that a write waits for another program."""


def emit(**members: Any) -> None:
    """Write a message for the parent process."""
    # At once: this process may be killed the next moment, and what it did is compared with this.
    print(json.dumps(members), flush=True)  # noqa: T201 - it is what this process is for


def state_of(status: SellerStatus) -> str:
    """A grant's state in one word; see ``board.STATE_STYLES``."""
    if status.state != "live":
        return status.state
    if not status.is_persisted:
        return "unpersisted"
    if status.is_refreshing:
        return "refreshing"
    if status.retry_at is not None:
        return "waiting"
    return "fresh" if status.freshness is Freshness.FRESH else "due"


class _App:
    """Authorizes sellers who approved, and makes calls for those it has."""

    def __init__(self, tokens: TokenManager) -> None:
        self._tokens = tokens
        self._sellers: dict[str, None] = {}
        self._next = 0
        self._answered = 0

    async def authorize_all(self, read_line: Callable[[], str]) -> None:
        """Trade the codes that come in, until the end of the input."""
        async with anyio.create_task_group() as tasks:
            # A thread that reads standard input cannot be interrupted, so it is left behind.
            while line := await anyio.to_thread.run_sync(read_line, abandon_on_cancel=True):
                tasks.start_soon(self._authorize, json.loads(line))

    async def _authorize(self, approval: dict[str, str]) -> None:
        try:
            await self._tokens.authorize(approval["code"])
        except IopError as error:
            emit(refused=approval["seller"], reason=str(error))
        else:
            self._sellers[approval["seller"]] = None
            emit(authorized=approval["seller"])

    async def make_calls(self) -> None:
        """Make a call for one seller after the other, without end."""
        while True:
            await anyio.sleep(_INTERVAL)
            sellers = list(self._sellers)
            if sellers:
                self._next += 1
                await self._call(sellers[self._next % len(sellers)])

    async def _call(self, seller: str) -> None:
        try:
            await self._tokens.seller(seller).call("/seller/get")
        except IopError as error:
            lacks_token = isinstance(error, (AuthError, TokenError))
            emit(failed=seller, reason=str(error), lacks_token=lacks_token)
        else:
            self._answered += 1

    async def emit_states(self) -> None:
        """Emit the state of every seller, again and again."""
        while True:
            states = {each.seller_id: state_of(each) async for each in self._tokens.statuses()}
            # The store knows sellers whom a process before this one authorized.
            self._sellers |= dict.fromkeys(states)
            emit(states=states, answered=self._answered)
            await anyio.sleep(_INTERVAL)


async def _emit_events(events: EventStream) -> None:
    async for event in events:
        emit(event=event.kind, seller=event.seller_id, reason=event.reason)


async def main(url: str, panel: str, path: str) -> None:
    """Run the app until the end of the standard input."""
    async with HttpxTransport() as http:
        clock: FastClock = await clock_of(http, panel)
    async with (
        anyio.create_task_group() as listening,
        Client(APP, Iop(url), now=clock.now) as client,
        SQLiteStore(path, busy_timeout=_BUSY_TIMEOUT) as store,
        # A short lease: what this process leaves behind when it is killed is not left for long.
        TokenManager(client, store, clock=clock, scope=SCOPE, lease_seconds=1.0) as tokens,
    ):
        listening.start_soon(_emit_events, tokens.events())
        app = _App(tokens)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.emit_states)
            for _ in range(_CALLERS):
                tasks.start_soon(app.make_calls)
            await app.authorize_all(sys.stdin.readline)
            # Calls stop here; refreshes under way are awaited when the manager closes.
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    # What is logged is an event too; lines on the terminal would tear the picture.
    logging.getLogger("iop_async").addHandler(logging.NullHandler())
    anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
