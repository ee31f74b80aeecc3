"""PostgreSQL behind PgBouncer: a URL is right as it is, and an engine that is not is refused."""

import asyncio
from contextlib import ExitStack
from functools import cache
from uuid import uuid4

import pytest
from pgbouncer_servers import OwnPgBouncer
from sql_helpers import Database
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine
from store_helpers import SCOPE, record

from iop_async import StoreError
from iop_async.stores import SQLAlchemyStore
from iop_async.testing import StoreConformance

DRIVERS = ("asyncpg", "psycopg")


@pytest.fixture(scope="module")
def poolers():
    """Gives a pooler by its mode, and the number of its connections to the server."""
    with ExitStack() as stack:
        yield cache(lambda *options: stack.enter_context(OwnPgBouncer(*options)))


@pytest.fixture
def pooler(poolers):
    return poolers("transaction", 3)


def behind(pooler, database, driver="asyncpg"):
    """The same tables, by way of the pooler."""
    url = pooler.url.replace("+asyncpg", f"+{driver}")
    return Database(database.kind, url, database.prefix)


@pytest.fixture
def postgresql(tables):
    return tables("postgresql")


async def read_each_others(stores, rounds):
    """What programs read that share a pooler, beside what each of them wrote."""
    wrong = []

    async def read(number, store):
        for _ in range(rounds):
            kept = await store.get(SCOPE, "1001")
            if kept.body != f"{number}".encode():
                wrong.append(kept.body)

    for number, store in enumerate(stores):
        await store.put(record(body=f"{number}".encode()))
    await asyncio.gather(*(read(*each) for each in enumerate(stores) for _ in range(5)))
    return wrong


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("rounds", [100, pytest.param(1_000, marks=pytest.mark.drill)])
async def test_two_programs_on_one_pooler_read_only_what_is_theirs(
    pooler, postgresql, driver, rounds
):
    """Their statements are the same but for the names of the tables."""
    other = Database(postgresql.kind, postgresql.url)
    await other.create()
    stores = [behind(pooler, one, driver).store() for one in (postgresql, other)]
    try:
        assert await read_each_others(stores, rounds) == []
        for store in stores:
            await store.check(SCOPE)
    finally:
        for store in stores:
            await store.aclose()
        await other.drop()


NAMING = {
    "asyncpg": [{}, {"connect_args": {"prepared_statement_cache_size": 0}}],
    "psycopg": [{}, {"connect_args": {"prepare_threshold": 0}}],
}


@pytest.mark.parametrize(
    ("driver", "options"), [(driver, one) for driver in DRIVERS for one in NAMING[driver]]
)
async def test_an_engine_that_names_statements_is_refused_behind_a_pooler(
    pooler, postgresql, driver, options
):
    """Before anything is read, with what to write; and works where there is no pooler."""
    setting = {"asyncpg": "'statement_cache_size': 0", "psycopg": "'prepare_threshold': None"}
    url = postgresql.url.replace("+asyncpg", f"+{driver}")
    near = create_async_engine(url, **options)
    far = create_async_engine(behind(pooler, postgresql, driver).url, **options)
    try:
        await postgresql.store(near).check(SCOPE)
        with pytest.raises(StoreError, match=setting[driver]) as caught:
            await postgresql.store(far).check(SCOPE)
        assert not caught.value.retryable
    finally:
        await near.dispose()
        await far.dispose()


@pytest.mark.parametrize(
    "options",
    [
        {"connect_args": {"statement_cache_size": 0}},
        {
            "poolclass": NullPool,
            "connect_args": {
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": lambda: f"__asyncpg_{uuid4()}__",
            },
        },
        {"isolation_level": "AUTOCOMMIT", "connect_args": {"statement_cache_size": 0}},
    ],
    ids=["unnamed", "names of its own", "autocommit"],
)
async def test_an_engine_that_shares_no_names_is_taken(pooler, postgresql, options):
    """Also by SQLAlchemy's own recipe for PgBouncer."""
    engine = create_async_engine(behind(pooler, postgresql).url, **options)
    other = Database(postgresql.kind, postgresql.url)
    await other.create()
    try:
        stores = [one.store(engine) for one in (postgresql, other)]
        assert await read_each_others(stores, 20) == []
    finally:
        await engine.dispose()
        await other.drop()


async def names_statements(store):
    """Whether a connection of the store's own engine does."""

    async def look(db, _):
        driver = (await db.get_raw_connection()).driver_connection
        return bool((await driver.prepare("SELECT 1")).get_name())

    return await store._transactions.read(look)


async def test_statements_are_named_where_there_is_no_pooler(postgresql):
    """From the second connection on: the server plans them once, and not for each transaction."""
    async with postgresql.store() as store:
        assert await names_statements(store)


async def test_a_pooler_that_is_put_before_the_server_is_met(pooler, postgresql):
    """The connections that are made from then on name nothing, and nobody notices."""
    async with behind(pooler, postgresql).store() as store:
        assert not await names_statements(store)
        kept = await store.put(record())
        store._engine.connections._may_name = True  # as if there had been none so far
        await store._engine.pool.dispose()
        assert await store.get(SCOPE, "1001") == kept
        assert not await names_statements(store)


async def test_each_connection_is_looked_at(pooler, postgresql):
    """Those that the engine had before the store was given it, too."""
    async with behind(pooler, postgresql).engine(pool_size=1) as engine:
        async with engine.connect() as db:
            await db.execute(text("SELECT 1"))
        with pytest.raises(StoreError, match="names its prepared statements"):
            await postgresql.store(engine).get(SCOPE, "1001")


LIMIT = "SELECT current_setting('idle_in_transaction_session_timeout')"


async def test_no_setting_of_the_store_goes_to_other_clients_of_the_pooler(postgresql):
    """With one connection to the server, all of them would meet it."""
    with OwnPgBouncer(size=1) as pooler:
        through = behind(pooler, postgresql)
        store = through.store()
        await store.put(record())
        unnamed = {"statement_cache_size": 0}
        async with through.engine(connect_args=unnamed) as engine, engine.connect() as db:
            assert (await db.execute(text(LIMIT))).scalar() == "0"
        await store.aclose()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_host_that_stands_still_amid_a_write_is_ended_behind_a_pooler(
    pooler, postgresql, driver
):
    """The limit is set in each transaction that writes there."""
    store = SQLAlchemyStore(
        behind(pooler, postgresql, driver).url, table_prefix=postgresql.prefix, timeout=1
    )

    async def limit(db, _):
        return (await db.execute(text(LIMIT))).scalar()

    assert await store._transactions.write(limit) == "2s"
    assert await store._transactions.read(limit) == "0"
    await store.aclose()


@pytest.mark.parametrize("driver", DRIVERS)
async def test_hosts_that_are_idle_starve_nobody_in_session_mode(postgresql, driver):
    """Each of their connections is one to the server there, for as long as it lives."""
    with OwnPgBouncer("session", 8) as pooler:
        url = behind(pooler, postgresql, driver).url
        stores = [
            SQLAlchemyStore(url, table_prefix=postgresql.prefix, idle_timeout=0.5) for _ in range(3)
        ]
        for store in stores:
            await asyncio.gather(*(store.get(SCOPE, f"{n}") for n in range(40)))
        assert all(store._engine.pool_size == 8 for store in stores)  # else they need not wait
        for store in stores:
            await store.aclose()


@pytest.mark.parametrize(("theirs", "kept"), [("1500", "1500ms"), ("60000", "11s"), ("0", "11s")])
async def test_an_administrators_stricter_limit_stays(postgresql, theirs, kept):
    """A looser one, or none, would keep a seller locked for longer than a transaction may take."""
    role = f"role_{uuid4().hex[:8]}"
    await postgresql.execute(
        f"CREATE ROLE {role} LOGIN SUPERUSER",
        f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = {theirs}",
    )
    url = postgresql.url.replace("postgres@", f"{role}@")
    store = SQLAlchemyStore(url, table_prefix=postgresql.prefix)

    async def limit(db, _):
        return (await db.execute(text(LIMIT))).scalar()

    try:
        assert await store._transactions.write(limit) == kept
    finally:
        await store.aclose()
        await postgresql.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("code", ["26000", "42P05"])
async def test_a_pooler_that_shows_later_has_words_of_its_own(postgresql, code):
    """One that was put before a server that connections go to already."""
    store = postgresql.store()

    async def fail(db, _):
        await db.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END $$"))

    with pytest.raises(StoreError, match="goes through a pooler") as caught:
        await store._transactions.write(fail)
    assert not caught.value.retryable
    await store.aclose()


class BehindPgBouncer(StoreConformance):
    backends = ("asyncio",)
    many = 200
    lease_seconds = 1.0
    driver = "asyncpg"
    mode, size = "transaction", 3

    @pytest.fixture
    def make_store(self, poolers, tables):
        pooler = poolers(self.mode, self.size)
        return behind(pooler, tables("postgresql"), self.driver).store


@pytest.mark.drill
class TestInTransactionMode(BehindPgBouncer):
    pass


@pytest.mark.drill
class TestInTransactionModeByPsycopg(BehindPgBouncer):
    driver = "psycopg"


@pytest.mark.drill
class TestInSessionMode(BehindPgBouncer):
    mode, size = "session", 200


@pytest.mark.drill
class TestInSessionModeByPsycopg(BehindPgBouncer):
    mode, size, driver = "session", 200, "psycopg"
