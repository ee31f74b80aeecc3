"""An encrypted store keeps the promises of every store, whatever it stands around."""

import pytest
from test_store_promises import WithClock

from iop_async.protocols import BulkTokenStore, Sealer, TokenStore
from iop_async.stores import EncryptedStore, MemoryStore, SQLiteStore

KEYS = {"new": b"n" * 32, "old": b"o" * 32}


class TestAroundMemory(WithClock):
    is_shared = False
    is_durable = False

    @pytest.fixture
    def make_store(self, clock):
        return lambda: EncryptedStore(MemoryStore(now=clock.now), KEYS)


class TestAroundSQLite(WithClock):
    @pytest.fixture
    def make_store(self, clock, tmp_path):
        path = tmp_path / "tokens.db"
        return lambda: EncryptedStore(SQLiteStore(path, now=clock.now), KEYS)


class TestAroundAnother(WithClock):
    """Sealed twice, by two who do not trust each other."""

    is_shared = False
    is_durable = False
    many = 200

    @pytest.fixture
    def make_store(self, clock):
        def make():
            inner = EncryptedStore(MemoryStore(now=clock.now), KEYS)
            return EncryptedStore(inner, {"new": b"x" * 32})

        return make


def test_it_has_the_shape_of_a_store():
    """And of what a journal seals with; a plain store has not."""
    store: TokenStore = EncryptedStore(MemoryStore(), KEYS)
    assert isinstance(store, TokenStore)
    assert isinstance(store, Sealer)
    assert not isinstance(MemoryStore(), Sealer)


class OneByOne:
    """What every store can do, and no more."""

    def __init__(self, store):
        for name in TokenStore.__dict__:
            if not name.startswith("_"):
                setattr(self, name, getattr(store, name))


def test_it_takes_many_at_once_where_the_inner_store_does():
    """Who asks is not told of a short cut that is none."""
    assert isinstance(EncryptedStore(MemoryStore(), KEYS), BulkTokenStore)
    plain = OneByOne(MemoryStore())
    assert isinstance(plain, TokenStore)
    assert not isinstance(EncryptedStore(plain, KEYS), BulkTokenStore)
