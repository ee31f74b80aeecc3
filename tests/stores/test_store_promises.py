"""Our own stores keep the promises of every store."""

from datetime import UTC, datetime, timedelta

import pytest

from iop_async.protocols import TokenStore
from iop_async.stores import MemoryStore, SQLiteStore
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


class TestMemoryStore(WithClock):
    is_shared = False
    is_durable = False

    @pytest.fixture
    def make_store(self, clock):
        return lambda: MemoryStore(now=clock.now)


class TestSQLiteStore(WithClock):
    @pytest.fixture
    def make_store(self, clock, tmp_path):
        return lambda: SQLiteStore(tmp_path / "tokens.db", now=clock.now)


@pytest.mark.drill
class TestSQLiteStoreAtLength(TestSQLiteStore):
    many = 10_000


def test_they_have_the_shape_of_a_store(tmp_path):
    """As a type checker sees it, and at run time."""
    stores: list[TokenStore] = [MemoryStore(), SQLiteStore(tmp_path / "tokens.db")]
    assert all(isinstance(store, TokenStore) for store in stores)
