"""Bench and fixtures of the tests of a store, and the event loops that they run in."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial, wraps
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import anyio
import pytest

from ..._records import Record
from ...protocols import TokenStore

MakeStore: TypeAlias = Callable[[], TokenStore | Awaitable[TokenStore]]
PassTime: TypeAlias = Callable[[float], object]
S = TypeVar("S", bound="StoreTests")

SCOPE = "app@platform"
LONG = 600.0
"""Seconds of a lease that does not end during a test."""


class Bench:
    """Opens stores on the same data and lets time pass for them."""

    def __init__(
        self, backend: str, make: MakeStore, pass_time: PassTime | None, short: float
    ) -> None:
        self.backend = backend
        self._make = make
        self._pass_time = pass_time
        # with a clock that is moved nothing waits, and a longer lease bears a busy machine
        self.short = short if pass_time is None else 30.0
        self.moves_time = pass_time is not None
        self._open: list[TokenStore] = []

    async def open(self) -> TokenStore:
        """A store, as another host would open it the second time."""
        made = self._make()
        store = await made if inspect.isawaitable(made) else made
        self._open.append(store)
        return store

    async def let_pass(self, seconds: float) -> None:
        """Let time pass on the clock that leases run by."""
        if self._pass_time is None:
            await anyio.sleep(seconds)
            return
        passed = self._pass_time(seconds)
        if inspect.isawaitable(passed):
            await passed

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close what was opened."""
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                for store in self._open:
                    await store.aclose()


class StoreTests:
    """The fixtures and facts that the tests of a store share."""

    is_shared: ClassVar[bool] = True
    is_durable: ClassVar[bool] = True
    backends: ClassVar[Sequence[str]] = ("asyncio", "trio") if find_spec("trio") else ("asyncio",)
    lease_seconds: ClassVar[float] = 0.5
    many: ClassVar[int] = 2_000

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test on every backend."""
        if "store_backend" in metafunc.fixturenames:
            metafunc.parametrize("store_backend", self.backends)

    @pytest.fixture
    def make_store(self) -> MakeStore:
        """Opens a store; to be overridden."""
        pytest.fail(f"{type(self).__name__} needs a fixture make_store that returns a callable")

    @pytest.fixture
    def pass_time(self) -> PassTime | None:
        """Moves the clock of the store's leases by so many seconds; ``None`` where nothing can."""
        return None

    @pytest.fixture
    def bench(self, store_backend: str, make_store: MakeStore, pass_time: PassTime | None) -> Bench:
        """The stores and the time that a test works with."""
        return Bench(store_backend, make_store, pass_time, self.lease_seconds)


_Test: TypeAlias = Callable[[S, Bench], Awaitable[None]]


def promise(
    *, needs: Literal["is_shared", "is_durable"] | None = None
) -> Callable[[_Test[S]], Callable[[S, Bench], None]]:
    """Make a coroutine function a plain test, which runs it in an event loop of its own.

    Args:
        needs: what the store must be, for the test to make sense.
    """

    def decorate(test: _Test[S]) -> Callable[[S, Bench], None]:
        @wraps(test)
        def run(self: S, bench: Bench) -> None:
            if needs is not None and not getattr(self, needs):
                pytest.skip(f"{needs} is False: the store does not promise that")
            # an event loop for each test: a store must not depend on one that is gone
            anyio.run(_run, partial(test, self, bench), bench, backend=bench.backend)

        return run

    return decorate


async def _run(test: Callable[[], Awaitable[None]], bench: Bench) -> None:
    # a store that hangs must fail its test, and not the suite
    with anyio.fail_after(120):
        async with bench.closing():
            await test()


def now() -> datetime:
    """The time, for records that are or are not yet due."""
    return datetime.now(UTC)


def a_record(seller_id: str = "1001", *more: str, **facts: Any) -> Record:
    """A record with nothing remarkable about it, but for what is given."""
    facts.setdefault("scope", SCOPE)
    facts.setdefault("body", f"body of {seller_id}".encode())
    return Record(seller_id=seller_id, seller_ids=(seller_id, *more), **facts)


async def all_records(store: TokenStore, scope: str = SCOPE) -> list[Record]:
    """All records of a scope."""
    return [record async for record in store.records(scope)]
