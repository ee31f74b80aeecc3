"""Engines by their URLs and of users, clocks, sessions and event loops."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import trio
from attrs import evolve
from sql_helpers import Database
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine
from store_helpers import SCOPE, record

from iop_async import StoreError
from iop_async.stores._sqlalchemy import SQLAlchemyStore, _transactions

PAST = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = "hunter2"


def test_constructing_does_no_io(tmp_path):
    """And needs no event loop."""
    SQLAlchemyStore(f"sqlite:///{tmp_path}/tokens.db")
    SQLAlchemyStore("postgresql://127.0.0.1:1/nothing")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@host:1/db", "postgresql+asyncpg://host:1/db"),
        ("postgres://u:hunter2@host/db?sslmode=require", "postgresql+asyncpg://host/db"),
        ("postgresql+asyncpg://u:hunter2@host/db", "postgresql+asyncpg://host/db"),
        ("mysql://u:hunter2@host/db", "mysql+aiomysql://host/db"),
        ("mariadb://u:hunter2@host/db", "mariadb+aiomysql://host/db"),
        ("mysql+asyncmy://u:hunter2@host/db", "mysql+asyncmy://host/db"),
        ("sqlite:///tokens.db", "sqlite+aiosqlite:///tokens.db"),
    ],
)
def test_a_url_needs_no_driver(url, shown):
    """One that is asynchronous is chosen; and no password is shown."""
    assert repr(SQLAlchemyStore(url)) == f"SQLAlchemyStore({shown!r})"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hunter2", "this is no URL of a database"),
        ("postgresql://u:p@host:hunter2/db", "this is no URL of a database"),
        ("oracle://u:hunter2@host/db", "oracle is no database that this store knows"),
        (
            "postgresql+psycopg2://u:hunter2@host/db",
            "one of postgresql[+]asyncpg://, postgresql[+]psycopg",
        ),
        ("mysql+hunter://u:hunter2@host/db", "one of mysql[+]aiomysql://, mysql[+]asyncmy://"),
        ("postgresql://u:p@hunter2@host:1/db", "odd characters .* need a percent sign"),
        ("postgresql://u:p@host/hunter2@host/db", "odd characters .* need a percent sign"),
        ("postgresql://u/n:hunter2@host/db", "odd characters .* need a percent sign"),
    ],
)
def test_a_url_that_is_of_no_use_is_refused(url, words):
    """Without what it says."""
    with pytest.raises(ValueError, match=words) as caught:
        SQLAlchemyStore(url)
    assert SECRET not in f"{caught.value}{caught.value.__cause__}{caught.value.__context__}"


@pytest.mark.parametrize("password", ["p@hunter2", "p@hunter2/hunter2", "p/hunter2@hunter2"])
def test_an_engine_of_the_user_shows_no_password(password):
    """Not even one that was not escaped, so that part of it was taken for a host."""
    engine = create_async_engine(f"postgresql+asyncpg://u:{password}@host/db")
    assert repr(SQLAlchemyStore(engine)) == "SQLAlchemyStore('postgresql+asyncpg://host/db')"


def test_an_engine_that_is_not_asynchronous_is_refused():
    """With what would do."""
    with pytest.raises(TypeError, match="a URL or an AsyncEngine, not Engine"):
        SQLAlchemyStore(create_engine("sqlite://"))


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({names!r}))
try:
    from iop_async.stores._sqlalchemy import SQLAlchemyStore
    SQLAlchemyStore({url!r})
except ImportError as error:
    print(error.name, error)
"""


@pytest.mark.parametrize(
    ("names", "url", "said"),
    [
        (["sqlalchemy"], "sqlite://", "pip install 'iop-async[sql]'"),
        (["greenlet"], "sqlite://", "pip install 'iop-async[sql]'"),
        (["asyncpg", "psycopg"], "postgresql://host/db", "needs asyncpg: pip install asyncpg"),
        (["aiomysql", "asyncmy"], "mysql://host/db", "needs aiomysql: pip install aiomysql"),
        (["aiosqlite"], "sqlite:///x", "needs aiosqlite: pip install aiosqlite"),
    ],
)
def test_what_is_not_installed_is_named(names, url, said):
    """With the command that installs it."""
    script = WITHOUT.format(names=names, url=url)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(names[0])
    assert said in done.stdout


def test_under_trio_it_says_so(tmp_path):
    """And names a store that does work there."""
    store = SQLAlchemyStore(f"sqlite:///{tmp_path}/tokens.db")
    for method in (lambda: store.get(SCOPE, "1"), store.create_tables, store.aclose):
        with pytest.raises(RuntimeError, match=r"runs under asyncio only.*SQLiteStore"):
            trio.run(method)


def connections(engine):
    """Counts the connections that an engine has open."""
    opened = []
    event.listen(engine.sync_engine, "connect", lambda one, _: opened.append(one))
    for ending in ("close", "close_detached"):
        event.listen(engine.sync_engine, ending, lambda one, *_: opened.remove(one))
    return opened


async def test_the_engine_of_the_user_stays_open(database):
    """It serves others."""
    async with database.engine() as engine:
        opened = connections(engine)
        async with database.store(engine) as store:
            await store.put(record())
        assert len(opened) == 1
        async with database.store(engine) as store:
            assert await store.get(SCOPE, "1001") is not None
        assert len(opened) == 1


async def test_an_engine_by_its_url_is_disposed_of(database):
    """Whatever it had open."""
    store = database.store()
    opened = connections(store._engine.pool)
    await asyncio.gather(*(store.put(record(f"{n}")) for n in range(5)))
    assert opened
    await store.aclose()
    assert not opened


async def in_time(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.05)


async def test_connections_that_nobody_needs_are_let_go(server):
    """All but those in use at the same time; and all where nothing is done."""
    store = SQLAlchemyStore(server.url, table_prefix=server.prefix, idle_timeout=0.5)
    opened = connections(store._engine.pool)
    kept = await store.put(record())

    async def use(seconds):
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            assert await store.get(SCOPE, "1001") == kept

    await asyncio.gather(*(use(1) for _ in range(8)))
    assert len(opened) > 1
    async with asyncio.timeout(60):
        while len(opened) > 1:
            await use(0.2)
    await in_time(lambda: not opened)
    assert await store.get(SCOPE, "1001") == kept
    await store.aclose()
    assert not opened


async def test_a_store_is_entered_once(database):
    """Its owner closes it once."""
    async with database.store() as store:
        with pytest.raises(RuntimeError, match="entered before"):
            await store.__aenter__()
        await store.put(record())


async def test_entering_shows_what_is_wrong_at_once(without_tables):
    """And closes what it opened."""
    store = without_tables.store()
    opened = connections(store._engine.pool)
    with pytest.raises(StoreError, match="the tables are missing"):
        async with store:
            pass
    assert not opened


async def test_nothing_is_kept_open_between_calls(server):
    """No transaction, neither after success nor after failure."""
    async with server.engine() as engine:
        store = server.store(engine)
        await store.put(record(due_at=PAST))
        with pytest.raises(StoreError):
            await store.put(record(body=b"another"))
        await store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60)
        await store.next_due(SCOPE)
        async for _ in store.records(SCOPE):
            break
        assert engine.pool.checkedout() == 0
        # would wait for any lock that was left, until the test fails
        await asyncio.wait_for(server.execute("DELETE FROM {t}records"), 30)


async def test_the_isolation_of_the_user_is_put_back(server):
    """Connections go back to the pool as they came."""
    ask = (
        "SHOW TRANSACTION ISOLATION LEVEL"
        if server.name == "postgresql"
        else "SELECT @@tx_isolation"
    )
    async with server.engine(isolation_level="SERIALIZABLE", pool_size=1) as engine:
        store = server.store(engine)
        await store.put(record())
        async with engine.connect() as db:
            (level,) = (await db.exec_driver_sql(ask)).one()
        assert level.lower() == "serializable"


@pytest.mark.parametrize("east", [True, False], ids=["east", "west"])
async def test_the_time_zone_of_a_session_does_not_matter(server, east):
    """Leases end when they should, and due times stay what they were."""
    zone = "+12:45" if east else "-11:30"
    if server.name == "postgresql":
        there = {"server_settings": {"timezone": "Pacific/Chatham" if east else "-11:30"}}
    else:
        there = {"init_command": f"SET time_zone = '{zone}'"}
    async with server.engine(connect_args=there) as engine:
        store = server.store(engine)
        kept = await store.put(record(due_at=PAST, dies_at=PAST))
        asked = datetime.now(UTC)
        assert await store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=600) == [kept]
        ends = await store.next_due(SCOPE)
        assert abs(ends - asked - timedelta(seconds=600)) < timedelta(seconds=120)
        assert await store.get(SCOPE, "1001") == kept


@pytest.fixture
def mariadb(tables):
    return tables("mariadb")


@pytest.mark.parametrize("mode", ["ORACLE", "ANSI", "TRADITIONAL"])
async def test_the_mode_of_a_session_does_not_matter(mariadb, mode):
    """Other words are reserved there, and other quotes are taken for names."""
    options = {"init_command": f"SET sql_mode = '{mode}'"}
    other = Database(mariadb.kind, mariadb.url)
    async with other.engine(connect_args=options) as engine:
        store = other.store(engine)
        try:
            await store.create_tables()
            kept = await store.put(record(due_at=PAST))
            kept = await store.put(evolve(kept, body=b"second"))
            claim = store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60)
            assert await claim == [kept] == [one async for one in store.records(SCOPE)]
            assert await store.remove(SCOPE, "1001")
        finally:
            await other.drop()


LOOPS = """
import asyncio, sys
from sqlalchemy.ext.asyncio import create_async_engine
from iop_async import StoreError
from iop_async.stores._sqlalchemy import SQLAlchemyStore

url, prefix = sys.argv[1:]
store = SQLAlchemyStore(create_async_engine(url), table_prefix=prefix)
asyncio.run(store.next_due("s"))
try:
    asyncio.run(store.next_due("s"))
except StoreError as error:
    print(error)
"""


def test_an_engine_of_the_user_in_another_event_loop_is_told(server):
    """SQLAlchemy cannot do that, and says so in riddles."""
    command = [sys.executable, "-W", "ignore", "-c", LOOPS, server.url, server.prefix]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "belongs to another event loop; dispose of the engine" in done.stdout


async def test_leases_run_by_the_clock_of_the_database(server, monkeypatch):
    """Not by the host's, which may be hours ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(hours=3)

    async with server.store() as store:
        await store.put(record(due_at=PAST))
        await store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60)
        monkeypatch.setattr("iop_async.stores._base.datetime", Ahead)
        monkeypatch.setattr(_transactions, "monotonic", lambda: 10.0**9)
        assert await store.claim(SCOPE, due_by=PAST, limit=1, holder="b", seconds=60) == []
        assert await store.lease(SCOPE, "1001", holder="b", seconds=60) is None


async def test_many_sellers_find_one_record(database):
    """More than a statement may name."""
    sellers = [f"{n}" for n in range(1_200)]
    async with database.store() as store:
        kept = await store.put(record(*sellers))
        taker = await store.put(record("taker", *sellers[::2]))
        assert await store.get(SCOPE, sellers[-1]) != kept
        assert await store.get(SCOPE, sellers[-2]) == taker
        for seller in sellers[::2]:
            due = record(f"due {seller}", due_at=PAST)
            await store.put(due)
        found = await store.claim(SCOPE, due_by=PAST, limit=2_000, holder="a", seconds=60)
        assert len(found) == 600
        assert await store.remove(SCOPE, sellers[1])
        assert await store.get(SCOPE, sellers[-1]) is None
