"""Our own stores keep the promises of every store."""

import inspect
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from store_helpers import SCOPE, record
from store_kinds import IN_TABLES, STORES, provisioning

from iop_async.protocols import TokenStore
from iop_async.testing import StoreConformance


class Clock:
    """Shows the real time, moved on by the test."""

    def __init__(self):
        self._moved = timedelta(0)

    def now(self):
        return datetime.now(UTC) + self._moved

    def move(self, seconds):
        self._moved += timedelta(seconds=seconds)


class WithClock(StoreConformance):
    @pytest.fixture
    def clock(self):
        return Clock()

    @pytest.fixture
    def pass_time(self, clock):
        return clock.move


class _ByItsClock(WithClock):
    @pytest.fixture
    def make_store(self, clock, provision):
        location = provision(self.kind)
        return lambda: location.store(now=clock.now)


class _ByItsServersClock(StoreConformance):
    lease_seconds = 1.0
    many = 200

    @pytest.fixture
    def make_store(self, provision):
        return provision(self.kind).store


def _suite(name, suffix="", **attributes):
    """The promises for a kind of store, as a class that pytest collects."""
    kind = STORES[name]
    base = _ByItsClock if kind.takes_clock else _ByItsServersClock
    attributes |= {
        "kind": name,
        "backends": kind.backends,
        "is_shared": kind.is_shared,
        "is_durable": kind.is_durable,
        "__module__": __name__,
    }
    return type(f"Test{name.capitalize()}{suffix}", (base,), attributes)


def _at_length(name):
    """The same with many more records and writes: the promises that such a number bears on."""
    others = [
        promise
        for promise in dir(StoreConformance)
        if promise.startswith("test_")
        and "many" not in inspect.unwrap(getattr(StoreConformance, promise)).__code__.co_names
    ]
    suite = _suite(name, "AtLength", many=10_000, **dict.fromkeys(others))  # None hides a test
    # Nobody waits for a connection of SQLAlchemy's pool for longer than half a minute.
    return pytest.mark.drill(pytest.mark.alone(suite) if name in IN_TABLES else suite)


# classes and not parameters, because what a store can do is said by attributes of its class
for _name, _kind in STORES.items():
    _suites = [_suite(_name)]
    if _kind.is_durable:
        _suites.append(_at_length(_name))
    globals().update({one.__name__: one for one in _suites})


@pytest.mark.parametrize("name", STORES)
def test_they_have_the_shape_of_a_store(name, tmp_path):
    """As a type checker sees it, and at run time."""
    with provisioning() as at:
        store: TokenStore = at(name, tmp_path).store()
        assert isinstance(store, TokenStore)


def cancel_leases(location):
    """Lease for a while, and be cancelled at many a moment; then look, as another host."""

    async def run():
        store = location.store()
        kept = await store.put(record(due_at=datetime(2026, 1, 1, tzinfo=UTC)))
        cancelled = 0
        for n in range(40):
            with anyio.move_on_after(0.0002 * n) as scope:
                await store.lease(SCOPE, "1001", holder=f"{n}", seconds=600)
            cancelled += scope.cancelled_caught
            if not scope.cancelled_caught:
                await store.lease(SCOPE, "1001", holder=f"{n}", seconds=0)
        await store.aclose()
        assert cancelled
        store = location.store()
        assert await store.lease(SCOPE, "1001", holder="b", seconds=600) == kept
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.lease(SCOPE, "1001", holder="b", seconds=600)
        await store.aclose()
        store = location.store()
        assert await store.lease(SCOPE, "1001", holder="c", seconds=600) is None
        await store.aclose()

    return run


@pytest.mark.parametrize("name", [name for name, kind in STORES.items() if kind.is_durable])
def test_a_lease_whose_taker_is_cancelled_is_given_back(name, provision):
    """Nobody knows of it, and the seller would wait for its end. One that was held before stays."""
    for backend in STORES[name].backends:
        anyio.run(cancel_leases(provision(name)), backend=backend)


LOOPS = """
import asyncio, gc, sys
from store_helpers import SCOPE, record
from store_kinds import StoreLocation

store = StoreLocation(*sys.argv[1:]).store()

async def main(n):
    await asyncio.gather(*(store.put(record(f"{n}/{m}")) for m in range(5)))
    return len([one async for one in store.records(SCOPE)])

counts = [asyncio.run(main(n)) for n in range(3)]
asyncio.run(store.aclose())
print(*counts)
"""


@pytest.mark.parametrize("name", STORES)
def test_they_go_from_one_event_loop_to_the_next(name, provision):
    """As the tasks of a queue do, and nobody closes anything in between."""
    location = provision(name)
    # drivers of databases warn of connections that ended with their event loop
    options = ["-W", "ignore::ResourceWarning", "-c", LOOPS]
    done = subprocess.run(
        [sys.executable, *options, location.kind, location.url, location.prefix],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["5", "10", "15"], done.stderr
