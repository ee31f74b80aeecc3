"""A store by its URL."""

import sys
from urllib.parse import quote

import pytest
from sqlalchemy import event
from store_helpers import record, rows, run

from iop_async import stores
from iop_async.stores import EncryptedStore, MemoryStore, RedisStore, SQLiteStore, from_url
from iop_async.stores._sqlalchemy import _databases

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
        ("sqlite:///tokens.db?password=hunter2", "takes no options but busy_timeout, encrypt"),
        ("sqlite:///tokens.db;encrypt=env:hunter2", "encrypt=env:NAME once, after a ? or &"),
        ("sqlite:///tokens.db;encypt=env:hunter2", "encrypt=env:NAME once, after a ? or &"),
        ("redis://h/0;encrypt=env:IOP_KEYS", "encrypt=env:NAME once, after a ? or &"),
        ("redis://h/0#encrypt=env:IOP_KEYS", "encrypt=env:NAME once, after a ? or &"),
        ("redis://h/0?encrypt", "encrypt=env:NAME once, after a ? or &"),
        ("redis://h/0?enkrypt=1", "perhaps encrypt is meant"),
        ("redis://h/0?encrypted=env:IOP_KEYS", "encrypt=env:NAME once, after a ? or &"),
        ("redis://h/0?encrypt%3Denv:IOP_KEYS", "encrypt=env:NAME once, after a ? or &"),
        ("redis://h/0?encryption=env:IOP_KEYS&a=1", "encrypt=env:NAME once, after a ? or &"),
        ("redis://h/0?encypt=env:IOP_KEYS", "encrypt=env:NAME once, after a ? or &"),
        ("sqlite:///tokens.db?encrypt=env:IOP_KEYS&password=hunter2", "takes no options"),
        ("sqlite:///tokens.db?encrypt=env:IOP_KEYS#hunter2", "takes no options"),
        ("memory://?hunter2", "takes no options"),
        (
            "postgresql+psycopg2://user:hunter2@host/db",
            "write postgresql://, or one of postgresql+asyncpg://, postgresql+psycopg://",
        ),
        ("MariaDB+pymysql://user:hunter2@host/db", "write mariadb://, or one of mariadb+aiomysql"),
        ("mysql+mysqldb://user:hunter2@host/db", "write mysql://, or one of mysql+aiomysql"),
        ("redis-sentinel://user:hunter2@host/s", "write redis+sentinel://"),
        (
            "redis+srv://u:hunter2@host/0",
            "write redis://, or one of redis+sentinel://, redis+cluster",
        ),
        ("postgresql://h/db?tabel_prefix=hunter2", "perhaps table_prefix is meant"),
        ("postgresql://h/db?hunter2=1", "The known ones are application_name, channel_binding"),
        ("postgresql://h/db?hunter2", "an option of the URL has no value"),
        ("postgresql://h/db?timeout=hunter2", "timeout takes a positive number of seconds"),
        ("postgresql://h/db?pool_size=0", "pool_size takes a whole number from 1"),
        ("postgresql://h/db?pool_size=4&pool_size=4", "the option pool_size is there twice"),
        ("postgresql://h/db?sslmode=hunter2", "sslmode takes disable or allow or prefer"),
        ("postgresql+asyncpg://h/db?channel_binding=require", "write postgresql+psycopg://"),
        ("postgresql+psycopg://h/db?statement_cache_size=0", "an option is not known"),
        ("mysql://h/db?ssl-mode=hunter2", "ssl-mode takes"),
        ("mysql://h/db?ssl_ca=/hunter2", "ssl_ca, ssl_cert or ssl_key names cannot be read"),
        (
            "sqlite+aiosqlite:///t.db?mode=hunter2",
            "known ones are encrypt, idle_timeout, pool_size, table",
        ),
        ("redis://host/hunter2", "ends with the number of a database"),
        ("redis://host/0?timeout=-1", "timeout takes a positive number of seconds"),
        ("redis://host/0?retry_on_timeout=yes", "an option is not known"),
        ("redis://host/0?ssl_cert_reqs=none", "an option is not known"),
        ("redis://user:hunter2@h1,h2/0", "cannot be read"),
        ("redis+sentinel://user:hunter2@h1,h2", "names their service"),
        ("redis+cluster://user:hunter2@h1,h2/1", "has one database only"),
        ("redis+cluster://host?sentinel_password=hunter2", "an option is not known"),
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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://u:hunter2@h/db", "SQLAlchemyStore('postgresql+asyncpg://h/db')"),
        ("postgresql://h:6432/db?sslmode=require", "SQLAlchemyStore('postgresql+asyncpg://h:6432"),
        ("postgresql+psycopg://h/db?sslmode=prefer", "SQLAlchemyStore('postgresql+psycopg://h/db"),
        ("mysql://u:p%40hunter2@h/db", "SQLAlchemyStore('mysql+aiomysql://h/db')"),
        ("mysql://h/db?ssl-mode=REQUIRED", "SQLAlchemyStore('mysql+aiomysql://h/db')"),
        ("MariaDB://h/db?charset=utf8mb4", "SQLAlchemyStore('mariadb+aiomysql://h/db')"),
        ("mariadb+aiomysql://h/db", "SQLAlchemyStore('mariadb+aiomysql://h/db')"),
        ("sqlite+aiosqlite:////tokens.db", "SQLAlchemyStore('sqlite+aiosqlite:////tokens.db')"),
        ("redis://:hunter2@h:7/3?socket_timeout=5", "RedisStore('redis://h:7/3', prefix='iop')"),
        ("rediss://h?ssl_cert_reqs=none", "RedisStore('rediss://h:6379/0', prefix='iop')"),
        ("valkey://u:hunter2@h", "RedisStore('redis://h:6379/0', prefix='iop')"),
        ("valkeys://h/2?prefix=shop", "RedisStore('rediss://h:6379/2', prefix='shop')"),
        (
            "redis+sentinel://u:hunter2@h1,h2:7/mine/3?sentinel_password=hunter2",
            "RedisStore('Redis Sentinel mine/3', prefix='iop')",
        ),
        ("rediss+sentinel://h1,h2/mine", "RedisStore('Redis Sentinel mine/0', prefix='iop')"),
        ("redis+cluster://u:hunter2@h1,h2:7", "RedisStore('Redis Cluster', prefix='iop')"),
        ("rediss+cluster://h1/0?prefix=shop", "RedisStore('Redis Cluster', prefix='shop')"),
    ],
)
def test_a_server_by_the_url_that_hosts_hand_out(monkeypatch, url, shown):
    """Its driver is one that is installed; and any of them may be encrypted."""
    assert repr(from_url(url)).startswith(shown)
    monkeypatch.setenv("IOP_KEYS", f"a={KEY}")
    place, mark, options = url.partition("?")
    for encrypted in (
        f"{url}{'&' if mark else '?'}encrypt=env:IOP_KEYS",
        f"{place}?encrypt=env:IOP_KEYS{'&' if mark else ''}{options}",
        f"{place}?encrypt=env%3AIOP_KEYS{'&' if mark else ''}{options}",
    ):
        store = from_url(encrypted)
        assert isinstance(store, EncryptedStore)
        assert repr(store._inner).startswith(shown)


@pytest.mark.parametrize(
    ("installed", "schemes"),
    [
        ({"asyncpg", "aiomysql"}, ("postgresql+asyncpg", "mysql+aiomysql")),
        ({"psycopg", "asyncmy"}, ("postgresql+psycopg", "mysql+asyncmy")),
        (set(), ("postgresql+asyncpg", "mysql+aiomysql")),
    ],
)
def test_the_driver_is_one_that_is_installed(monkeypatch, installed, schemes):
    """Where there is none, the error of the first says how to get it."""
    monkeypatch.setattr(_databases, "find_spec", installed.__contains__)
    assert tuple(
        f"{name}+{_databases.DATABASES[name].driver}" for name in ("postgresql", "mysql")
    ) == schemes  # fmt: skip


def test_options_are_the_arguments_of_the_store(tmp_path):
    """By their names; and what is the driver's goes to the driver, as it takes it."""
    sql = from_url(
        "postgresql://h/db?table_prefix=shop_&pool_size=3&timeout=2.5&application_name=shop"
        "&connect_timeout=4&sslmode=require&statement_cache_size=9"
    )
    assert "shop_records" in sql.metadata.tables
    assert sql._engine.pool.pool.size() == 3
    assert sql._transactions._timeout == 2.5
    asked = []

    @event.listens_for(sql._engine.pool.sync_engine, "do_connect")
    def look(dialect, record, args, params):
        asked.append(params)
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it is the test's own
        run(lambda: sql._engine.pool.connect().start())
    assert asked[0]["server_settings"] == {"application_name": "shop"}
    assert (asked[0]["timeout"], asked[0]["ssl"]) == (4.0, "require")
    assert asked[0]["statement_cache_size"] == 0
    assert from_url(f"sqlite:///{tmp_path}/t.db?busy_timeout=3")._writer._resource is not None
    server = from_url("redis://h/0?prefix=shop&timeout=2&socket_timeout=1&protocol=3")
    pool = server._runner._source.client().connection_pool
    assert pool.connection_kwargs["socket_timeout"] == 1.0
    assert pool.connection_kwargs["socket_connect_timeout"] == 2.0


@pytest.mark.parametrize(
    "url", ["redis://h", "redis+sentinel://h/s", "redis+cluster://h", "unix:///run/redis.sock"]
)
def test_a_client_of_a_store_repeats_nothing_by_itself(url):
    """Whatever its constructor does by default: a claim that is repeated leases twice."""
    client = RedisStore(url)._runner._source.client()
    retry = getattr(client, "retry", None) or client.connection_pool.connection_kwargs["retry"]
    assert retry._retries == 0


def test_what_is_wrong_with_a_driver_is_said(monkeypatch):
    """And nothing of the URL."""
    monkeypatch.setitem(sys.modules, "asyncmy", None)
    with pytest.raises(ImportError, match="needs asyncmy: pip install asyncmy"):
        from_url("mysql+asyncmy://u:hunter2@h/db")
    with pytest.raises(ValueError, match="URL cannot be read") as caught:
        from_url("redis://u:hunter2]@h")
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


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


@pytest.mark.parametrize("kind", ["file", "command"])
def test_keys_are_read_from_a_file_or_from_a_program(tmp_path, kind):
    """A secret that is mounted, or a password manager; one key in each line."""
    old = EncryptedStore.new_key()
    keys = tmp_path / "the keys"
    keys.write_text(f"2026={KEY}\n2025={old}\n")
    source = f"file:{keys}" if kind == "file" else f"command:cat '{keys}'"
    url = f"sqlite:///{tmp_path}/tokens.db?encrypt={quote(source)}"

    async def main():
        before = EncryptedStore(SQLiteStore(tmp_path / "tokens.db"), {"2025": old})
        await before.put(record(body=b"secret"))
        await before.aclose()
        store = from_url(url)
        assert (await store.get(record().scope, "1001")).body == b"secret"
        assert await store.reencrypt(record().scope) == 1
        await store.aclose()

    run(main)


@pytest.mark.parametrize(
    ("query", "value", "words"),
    [
        ("encrypt=env:IOP_KEYS", None, "variable IOP_KEYS does not hold .*which is not set, or em"),
        ("encrypt=env:IOP_KEYS", "  ", "variable IOP_KEYS does not hold .*which is not set, or em"),
        ("encrypt=env:IOP_KEYS", "a=hunter2", "IOP_KEYS does not hold .*: key 1 is neither 32"),
        ("encrypt=env:IOP_KEYS", "hunter2", "IOP_KEYS does not hold .*: key 1 is neither"),
        ("encrypt=env:hunter2!", KEY, "takes encrypt=env:NAME once"),
        ("encrypt=env:", KEY, "a key does not belong into a URL"),
        ("encrypt=", KEY, "a key does not belong into a URL"),
        ("encrypt", KEY, "a key does not belong into a URL"),
        ("Encrypt=hunter2", KEY, "a key does not belong into a URL"),
        ("encrypt=a=hunter2", KEY, "a key does not belong into a URL"),
        ("encrypt=file:", KEY, "a key does not belong into a URL"),
        ("encrypt=file:/no/such/file", KEY, "the file /no/such/file does not hold .*No such file"),
        ("encrypt=command:false%20hunter2", KEY, "the command does not hold .*status 1"),
        ("encrypt=command:no-such-program", KEY, "the command does not hold .*cannot be run"),
        ("encrypt=command:%22hunter2", KEY, "the command does not hold .*cannot be run"),
        ("encrypt=env:IOP_KEYS&encrypt=env:IOP_KEYS", KEY, "takes encrypt=env:NAME once"),
    ],
)
@pytest.mark.parametrize("url", ["memory://", "sqlite:///tokens.db", "redis://u:hunter2@h/0"])
def test_keys_that_are_not_there_are_an_error(monkeypatch, url, query, value, words):
    """That names the variable and never what it holds; a store is not left unencrypted."""
    monkeypatch.delenv("IOP_KEYS", raising=False)
    if value is not None:
        monkeypatch.setenv("IOP_KEYS", value)
    with pytest.raises(ValueError, match=words) as caught:
        from_url(f"{url}?{query}")
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


def test_what_needs_an_extra_is_there_by_its_name():
    """And nothing else is."""
    assert stores.RedisStore.__name__ == "RedisStore"
    assert all(hasattr(stores, name) for name in stores.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = stores.nothing
