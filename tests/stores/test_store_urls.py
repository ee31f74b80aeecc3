"""A store by its URL."""

import sys
import types

import pytest
from store_hands import record, rows, run

from iop_async import stores
from iop_async.stores import EncryptedStore, MemoryStore, SQLiteStore, from_url

KEY = "u6DDo2Onw43xegpIKPtviUnrNrE3fpthjr8v/qAEegk="


def test_a_file_by_its_url(tmp_path, monkeypatch):
    """Three slashes for a relative path, four for an absolute one; percent signs as in any URL."""
    monkeypatch.chdir(tmp_path)
    for url, path in {
        "sqlite:///tokens.db": tmp_path / "tokens.db",
        "sqlite:///data/tokens.db": tmp_path / "data" / "tokens.db",
        "SQLite:////var/lib/tokens.db": "/var/lib/tokens.db",
        "sqlite:///a%20b%3F%23%25.db": tmp_path / "a b?#%.db",
        "sqlite:///店.db": tmp_path / "店.db",
    }.items():
        store = from_url(url)
        assert isinstance(store, SQLiteStore)
        assert str(store.path) == str(path)
    assert not list(tmp_path.iterdir())


def test_memory_by_its_url():
    """It names nothing, so every call makes another."""
    assert isinstance(from_url("memory://"), MemoryStore)
    assert from_url("memory://") is not from_url("memory://")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mongodb://user:hunter2@host/tokens", "begins with mongodb://; the known ones are"),
        ("tokens.db", "has no scheme; the known ones are memory://, sqlite://"),
        ("", "has no scheme"),
        ("sqlite:tokens.db", "has no scheme"),
        ("sqlite://tokens.db", "takes no host: write sqlite:///tokens.db"),
        ("sqlite://user:hunter2@host/tokens.db", "takes no host"),
        ("sqlite://", "needs a file"),
        ("sqlite:///", "needs a file"),
        ("sqlite:///tokens.db?password=hunter2", "takes no options but encrypt=env:NAME"),
        ("sqlite:///tokens.db?encrypt=env:IOP_KEYS&password=hunter2", "takes no options"),
        ("sqlite:///tokens.db?encrypt=env:IOP_KEYS#hunter2", "takes no options"),
        ("memory://?hunter2", "takes no options"),
        ("postgresql://user:hunter2@host/db", "write postgresql+asyncpg://"),
        ("postgres://user:hunter2@host/db", "write postgresql+asyncpg://"),
        ("mysql://user:hunter2@host/db", "write mysql+aiomysql://"),
        ("MariaDB://user:hunter2@host/db", "write mysql+aiomysql://"),
        ("postgresql+psycopg2://user:hunter2@host/db", "the known ones are"),
        ("sqlite:///tokens.db#hunter2", "takes no options"),
        ("memory://hunter2", "names nothing"),
        ("memory:///hunter2", "names nothing"),
        (
            "sqlite://hunter2\N{KELVIN SIGN}\N{DOUBLE-STRUCK ITALIC CAPITAL D}:\uff1a/a",
            "cannot be read",
        ),
        ("sqlite://[hunter2/tokens.db", "cannot be read"),
    ],
)
def test_a_url_that_names_no_store_is_refused(url, words, monkeypatch):
    """With what would; without what it says, for that may be a password."""
    monkeypatch.setenv("IOP_KEYS", f"a={KEY}")
    with pytest.raises(ValueError, match=r"\w") as caught:
        from_url(url)
    assert words in str(caught.value)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


class Driver:
    """Stands in for a store that needs a server and an extra."""

    def __init__(self, url):
        self.url = url
        if "hunter2]" in url:
            raise ValueError(f"{url} has an odd bracket")
        if "no-driver" in url:
            raise ModuleNotFoundError("No module named 'asyncpg'")


@pytest.fixture
def drivers(monkeypatch):
    for module, name in (("_redis", "RedisStore"), ("_sqlalchemy", "SQLAlchemyStore")):
        made = types.ModuleType(module)
        setattr(made, name, type(name, (Driver,), {}))
        monkeypatch.setitem(sys.modules, f"iop_async.stores.{module}", made)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://user:hunter2@host:6379/0?socket_timeout=5", "RedisStore"),
        ("rediss://host?ssl_cert_reqs=none&encrypted=1", "RedisStore"),
        ("postgresql+asyncpg://user:p%40?ss#word@host/db?ssl=require", "SQLAlchemyStore"),
        ("mysql+aiomysql://root@host/db?charset=utf8mb4", "SQLAlchemyStore"),
        ("mysql+asyncmy://root@host/db", "SQLAlchemyStore"),
        ("sqlite+aiosqlite:////var/lib/tokens.db", "SQLAlchemyStore"),
        ("sqlite+aiosqlite:///", "SQLAlchemyStore"),
    ],
)
def test_a_server_by_its_url(drivers, monkeypatch, url, name):
    """It is handed on as it is, but for what asks for encryption, wherever that stands."""
    made = from_url(url)
    assert type(made) is getattr(stores, name)
    assert made.url == url
    scheme, _, rest = url.partition("://")
    assert from_url(f"{scheme.upper()}://{rest}").url == url
    monkeypatch.setenv("IOP_KEYS", f"a={KEY}")
    place, mark, options = url.rpartition("?") if "=" in url else (url, "", "")
    for encrypted in (
        f"{url}{'&' if mark else '?'}encrypt=env:IOP_KEYS",
        f"{place}?encrypt=env:IOP_KEYS{'&' if mark else ''}{options}",
        f"{place}?encrypt=env%3AIOP_KEYS{'&' if mark else ''}{options}",
    ):
        store = from_url(encrypted)
        assert isinstance(store, EncryptedStore)
        assert store._inner.url == url


def test_encryption_is_asked_for_between_other_options(drivers, monkeypatch):
    """And theirs stay as they were."""
    monkeypatch.setenv("IOP_KEYS", f"a={KEY}")
    store = from_url("redis://h/0?a=1&encrypt=env:IOP_KEYS&b=%20&c")
    assert store._inner.url == "redis://h/0?a=1&b=%20&c"


def test_what_a_driver_says_of_a_url_is_not_repeated(drivers):
    """Its words may quote a password; that a driver is missing may be said."""
    for url in ("redis://u:hunter2]@h", "postgresql+asyncpg://u:hunter2]@h/d"):
        with pytest.raises(ValueError, match=r"URL cannot be read \(ValueError\)") as caught:
            from_url(url)
        assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"
    with pytest.raises(ImportError, match="asyncpg"):
        from_url("postgresql+asyncpg://no-driver/db")


def test_an_encrypted_file_by_its_url(tmp_path, monkeypatch):
    """It closes what it made, and what it wrote is read with the same keys."""
    monkeypatch.setenv("IOP_KEYS", f"2026={KEY},2025={EncryptedStore.new_key()}")
    url = f"sqlite:///{tmp_path}/tokens.db?encrypt=env:IOP_KEYS"

    async def main():
        store = from_url(url)
        assert store.path == tmp_path / "tokens.db"
        await store.put(record(body=b"secret"))
        await store.aclose()
        again = EncryptedStore(SQLiteStore(store.path), {"2026": KEY})
        assert (await again.get(record().scope, "1001")).body == b"secret"
        await again.aclose()

    run(main)
    ((body,),) = rows(tmp_path / "tokens.db", "SELECT body FROM records")
    assert b"secret" not in body
    assert isinstance(from_url("memory://?encrypt=env:IOP_KEYS"), EncryptedStore)


@pytest.mark.parametrize(
    ("query", "value", "words"),
    [
        ("encrypt=env:IOP_KEYS", None, "variable IOP_KEYS does not hold .*: it is not set, or em"),
        ("encrypt=env:IOP_KEYS", "  ", "variable IOP_KEYS does not hold .*: it is not set, or em"),
        ("encrypt=env:IOP_KEYS", "a=hunter2", "IOP_KEYS does not hold .*: key 1 is neither 32"),
        ("encrypt=env:IOP_KEYS", "hunter2", "IOP_KEYS does not hold .*: key 1 is neither"),
        ("encrypt=env:hunter2!", KEY, "takes encrypt=env:NAME once"),
        ("encrypt=env:", KEY, "a key does not belong into a URL"),
        ("encrypt=", KEY, "a key does not belong into a URL"),
        ("encrypt", KEY, "a key does not belong into a URL"),
        ("Encrypt=hunter2", KEY, "a key does not belong into a URL"),
        ("encrypt=a=hunter2", KEY, "a key does not belong into a URL"),
        ("encrypt=file:/hunter2", KEY, "a key does not belong into a URL"),
        ("encrypt=env:IOP_KEYS&encrypt=env:IOP_KEYS", KEY, "takes encrypt=env:NAME once"),
    ],
)
@pytest.mark.parametrize("url", ["memory://", "sqlite:///tokens.db", "redis://u:hunter2@h/0"])
def test_keys_that_are_not_there_are_an_error(drivers, monkeypatch, url, query, value, words):
    """That names the variable and never what it holds; a store is not left unencrypted."""
    monkeypatch.delenv("IOP_KEYS", raising=False)
    if value is not None:
        monkeypatch.setenv("IOP_KEYS", value)
    with pytest.raises(ValueError, match=words) as caught:
        from_url(f"{url}?{query}")
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


def test_what_needs_an_extra_is_there_by_its_name(drivers):
    """And nothing else is."""
    assert stores.RedisStore.__name__ == "RedisStore"
    assert all(hasattr(stores, name) for name in stores.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stores.nothing
