"""What is done all the time costs few round trips, as they are seen on the wire."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from attrs import evolve
from sql_helpers import Proxy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from store_helpers import SCOPE, record

PAST = datetime(2026, 1, 1, tzinfo=UTC)

WITH_A_LEASE = {"postgresql": 1, "mariadb": 2}
WITH_A_CLAIM = {"postgresql": 1, "mariadb": 5}


class Counter(Proxy):
    """Counts how often a server is asked anew after it answered."""

    asked = 0
    _is_asking = False

    def passed(self, *, to_server):
        if to_server and not self._is_asking:
            self.asked += 1
        self._is_asking = to_server

    async def of(self, attempt):
        before = self.asked
        await attempt
        await asyncio.sleep(0.01)  # what would come after it, when the connection is given back
        return self.asked - before


DRIVERS = ["postgresql+asyncpg", "postgresql+psycopg", "mysql+aiomysql", "mysql+asyncmy"]


@pytest.fixture(params=DRIVERS)
def by_driver(request, tables):
    """A database, and its URL with a driver."""
    database = tables("postgresql" if request.param.startswith("postgresql") else "mariadb")
    return database, database.url.replace(database.url.split(":")[0], request.param)


@pytest.fixture
def postgresql(tables):
    return tables("postgresql")


async def test_a_write_and_a_lease_cost_one_statement(by_driver):
    """No transaction is begun around it, committed or rolled back, by an engine of the store."""
    database, url = by_driver
    name = database.name
    async with Counter(url) as wire:
        store = database.store(wire.url)
        kept = await store.put(record(due_at=PAST))
        for n in range(8):  # until the driver has prepared what it prepares
            kept = await store.put(evolve(kept, body=f"{n}".encode()), release="a")
            await store.get(SCOPE, "1001")
            await store.lease(SCOPE, "1001", holder="a", seconds=60)
            await store.lease(SCOPE, "1001", holder="a", seconds=0)
            await store.claim(SCOPE, due_by=PAST, limit=9, holder="a", seconds=60)
        kept = evolve(kept, body=b"new")
        assert await wire.of(store.put(kept, release="a")) == 1
        assert await wire.of(store.get(SCOPE, "1001")) == 1
        lease = store.lease(SCOPE, "1001", holder="a", seconds=60)
        assert await wire.of(lease) == WITH_A_LEASE[name]
        assert await wire.of(store.lease(SCOPE, "1001", holder="a", seconds=0)) == 2
        claim = store.claim(SCOPE, due_by=PAST, limit=9, holder="a", seconds=60)
        assert await wire.of(claim) == WITH_A_CLAIM[name]
        await store.aclose()


async def test_an_engine_of_the_user_costs_as_little_on_postgresql(postgresql):
    """Its own isolation is put back without a word to the server."""
    async with Counter(postgresql.url) as wire:
        engine = create_async_engine(wire.url, isolation_level="SERIALIZABLE", pool_size=1)
        store = postgresql.store(engine)
        kept = await store.put(record(due_at=PAST))
        for n in range(4):
            kept = await store.put(evolve(kept, body=f"{n}".encode()))
        assert await wire.of(store.put(evolve(kept, body=b"new"))) == 1
        await store.aclose()
        await engine.dispose()


async def test_a_stricter_isolation_of_an_administrator_is_met_by_transactions(postgresql):
    """Statements outside of one would fail where two of them meet."""
    role = f"role_{uuid4().hex[:8]}"
    await postgresql.execute(
        f"CREATE ROLE {role} LOGIN SUPERUSER",
        f"ALTER ROLE {role} SET default_transaction_isolation = 'serializable'",
    )

    async def isolation(db, _):
        return (await db.execute(text("SHOW transaction_isolation"))).scalar()

    try:
        async with postgresql.store(postgresql.url.replace("postgres@", f"{role}@")) as store:
            assert await store._transactions.write_each(isolation) == "read committed"
            kept = await store.put(record())
            assert (await store.put(evolve(kept, body=b"2"))).revision == 2
    finally:
        await postgresql.execute(f"DROP ROLE {role}")
