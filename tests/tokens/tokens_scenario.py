"""A gateway, a store and a manager that live by one movable clock."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial, wraps
from pathlib import Path

import anyio
import pytest
from store_kinds import SHARED, STORES

import iop_async as iop
from iop_async.protocols import TokenStore
from iop_async.sandbox import Sandbox, SandboxApp
from iop_async.stores import SQLiteStore
from iop_async.testing._clock import MovableClock

APP = iop.App("123456", "helloworld")
LEAD = 30 * 60
DAY = 86400
MONTH = 30 * DAY
SECOND_LOOK = 61
"""Seconds after which a refusal is looked at again."""
REFRESH = "/auth/token/refresh"


def either_loop(test):
    """Run a coroutine test under asyncio and under trio, and not for ever."""
    return pytest.mark.parametrize("backend", ["asyncio", "trio"])(_plain(test, 300))


def each_store(test):
    """Run a coroutine test over every kind of store that hosts can share: the ``shared`` scenario.

    Under each event loop that the store knows.
    """
    kinds = [(name, backend) for name in SHARED for backend in STORES[name].backends]
    return pytest.mark.parametrize(("shared", "backend"), kinds, indirect=["shared"])(
        _plain(test, 600)
    )


def _plain(test, seconds):
    """A coroutine test as a function, which takes the event loop's name besides."""

    async def bounded(**fixtures):
        with anyio.fail_after(seconds):
            await test(**fixtures)

    @wraps(test)
    def run(*, backend, **fixtures):
        anyio.run(partial(bounded, **fixtures), backend=backend)

    wanted = inspect.signature(test).parameters.values()
    backend = inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*wanted, backend])
    return run


class Scenario:
    """Everything a promise about tokens is told with.

    The gateway lives by ``clock``, and so does the machine unless its ``host_clock`` is another.
    What each manager tells from its first moment on is in ``told``.
    """

    def __init__(self, path: Path, *, speed: float = 1.0) -> None:
        self.clock = MovableClock(speed=speed)
        self.path = path
        self.sandbox = Sandbox(
            apps=[SandboxApp(APP.key, APP.secret)],
            sellers=3,
            refresh_seconds=180 * DAY,
            now=self.clock.now,
        )
        self.host_clock = self.clock
        self.url = ""
        self.told: list[iop.tokens.EventStream] = []

    def store(self) -> TokenStore:
        """A store as one more host opens it."""
        return SQLiteStore(self.path)

    def client(self, **options) -> iop.Client:
        return iop.Client(APP, iop.gateways.Iop(self.url), now=self.host_clock.now, **options)

    @asynccontextmanager
    async def manager(
        self, store=None, *, client=None, **options
    ) -> AsyncIterator[iop.TokenManager]:
        kept = self.store() if store is None else store
        options.setdefault("keeper", False)
        options.setdefault("clock", self.host_clock)
        async with client or self.client() as caller:
            try:
                manager = iop.TokenManager(caller, kept, **options)
                self.told.append(manager.events())
                async with manager as tokens:
                    yield tokens
            finally:
                await kept.aclose()

    @asynccontextmanager
    async def hosts(self, count, **options) -> AsyncIterator[list[iop.TokenManager]]:
        """Managers that have nothing in common but the store and the gateway."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.manager(**options)) for _ in range(count)]

    def code(self, seller="1001") -> str:
        return self.sandbox.authorize(seller)

    def live(self, seller="1001"):
        """The pair that the gateway considers live."""
        return self.sandbox.grants.live_pair(APP.key, seller)

    def presented(self) -> int:
        """How many refresh tokens were presented."""
        return len(self.sandbox.ledger.refreshes)


async def eventually(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a condition that another task brings about."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)


async def all_told(tokens, events):
    """What was told once nothing is under way any more; nothing is told after that.

    A pair is stored before it is told of, and the keeper may be at work beside the test.
    """
    await eventually(lambda: not tokens._lifecycle.here.flights.seller_ids)
    tokens._announcer.close()
    return [event async for event in events]


async def kinds(events, count):
    """The kinds of the next so many events."""
    with anyio.fail_after(60):
        return [(await anext(events)).kind for _ in range(count)]
