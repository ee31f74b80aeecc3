"""The app of the demonstration: a process that keeps its sellers' tokens, and may be killed.

Run with: the gateway's URL, the panel's URL, and the store's file. Each line of its standard input
is a seller who approved, with the code; at the end of it the process lets what is under way end,
and stops. It tells what happens on its standard output: JSON, one object a line.
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
from .clock import FastClock, clock_of
from .gateway import APP, SCOPE

_CALLERS = 12
_EVERY = 0.1
"""Seconds of this machine between two calls of one caller, and between two looks at the states."""

_PATIENCE = 0.3
"""Seconds of this machine, many of the simulated ones, that a write waits for another program."""


def tell(**members: Any) -> None:
    """A line for whoever watches."""
    print(json.dumps(members), flush=True)  # noqa: T201 - it is what this process is for


def state_of(status: SellerStatus) -> str:
    """In one word how a grant is."""
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
    """What an app does all day: take in sellers who approved, and call for those it has."""

    def __init__(self, tokens: TokenManager) -> None:
        self._tokens = tokens
        self._sellers: dict[str, None] = {}
        self._turn = 0
        self._answered = 0

    async def take_in(self, read_line: Callable[[], str]) -> None:
        """Trade the codes that come in, until no more come."""
        async with anyio.create_task_group() as tasks:
            while line := await anyio.to_thread.run_sync(read_line, abandon_on_cancel=True):
                tasks.start_soon(self._authorize, json.loads(line))

    async def _authorize(self, approval: dict[str, str]) -> None:
        try:
            await self._tokens.authorize(approval["code"])
        except IopError as error:
            tell(refused=approval["seller"], reason=str(error))
        else:
            self._sellers[approval["seller"]] = None
            tell(authorized=approval["seller"])

    async def call(self) -> None:
        """Call for one seller after the other."""
        while True:
            await anyio.sleep(_EVERY)
            sellers = list(self._sellers)
            if sellers:
                self._turn += 1
                await self._call(sellers[self._turn % len(sellers)])

    async def _call(self, seller: str) -> None:
        try:
            await self._tokens.seller(seller).call("/seller/get")
        except IopError as error:
            lacks_token = isinstance(error, (AuthError, TokenError))
            tell(failed=seller, reason=str(error), lacks_token=lacks_token)
        else:
            self._answered += 1

    async def show(self) -> None:
        """Tell the state of every seller, again and again."""
        while True:
            states = {each.seller: state_of(each) async for each in self._tokens.statuses()}
            self._sellers |= dict.fromkeys(states)
            tell(states=states, answered=self._answered)
            await anyio.sleep(_EVERY)


async def _tell_events(events: EventStream) -> None:
    async for event in events:
        tell(event=event.kind, seller=event.seller, reason=event.reason)


async def work(url: str, panel: str, path: str) -> None:
    """Be the app, until the standard input ends."""
    async with HttpxTransport() as http:
        clock: FastClock = await clock_of(http, panel)
    async with (
        anyio.create_task_group() as listening,
        Client(APP, Iop(url), now=clock.now) as client,
        SQLiteStore(path, busy_timeout=_PATIENCE) as store,
        # A short lease: what this process leaves behind when it is killed is not left for long.
        TokenManager(client, store, clock=clock, scope=SCOPE, lease_seconds=1.0) as tokens,
    ):
        listening.start_soon(_tell_events, tokens.events())
        app = _App(tokens)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(app.show)
            for _ in range(_CALLERS):
                tasks.start_soon(app.call)
            await app.take_in(sys.stdin.readline)
            tasks.cancel_scope.cancel()


if __name__ == "__main__":
    # What is logged is told as events too; lines on the terminal would tear the picture.
    logging.getLogger("iop_async").addHandler(logging.NullHandler())
    anyio.run(work, sys.argv[1], sys.argv[2], sys.argv[3])
