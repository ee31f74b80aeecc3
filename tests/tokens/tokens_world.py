"""A gateway, a store and a manager that live by one movable clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp
from iop_async.stores import SQLiteStore
from iop_async.testing._clock import MovableClock

APP = iop.App("123456", "helloworld")


class World:
    """Everything a promise about tokens is told with."""

    def __init__(self, path: Path) -> None:
        self.clock = MovableClock()
        self.path = path
        self.sandbox = Sandbox(
            apps=[SandboxApp(APP.key, APP.secret)], sellers=3, now=self.clock.now
        )
        self.url = ""

    def store(self) -> SQLiteStore:
        return SQLiteStore(self.path)

    def client(self, **options) -> iop.Client:
        return iop.Client(APP, iop.gateways.Iop(self.url), now=self.clock.now, **options)

    @asynccontextmanager
    async def manager(
        self, store=None, *, client=None, **options
    ) -> AsyncIterator[iop.TokenManager]:
        kept = self.store() if store is None else store
        options.setdefault("keeper", False)
        options.setdefault("lease_seconds", 2.0)
        async with client or self.client() as caller:
            try:
                async with iop.TokenManager(caller, kept, clock=self.clock, **options) as tokens:
                    yield tokens
            finally:
                await kept.aclose()

    def code(self, seller="1001") -> str:
        return self.sandbox.authorize(seller)

    def live(self, seller="1001"):
        """The pair that the gateway considers live."""
        return self.sandbox.grants.live_pair(APP.key, seller)

    def presented(self) -> int:
        """How many refresh tokens were presented."""
        return len(self.sandbox.ledger.refreshes)


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition that another task brings about."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)
