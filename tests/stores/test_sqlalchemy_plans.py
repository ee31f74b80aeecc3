"""Finding what is due costs the same among a thousand records and among a million."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from sqlalchemy import event
from store_helpers import SCOPE, record

from iop_async.stores._columns import to_micros
from iop_async.stores._contract import CLAIM_WINDOW
from iop_async.stores._sqlalchemy import _leases, _rows

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MANY = 30_000
NUMBERS = {
    "postgresql": "SELECT i FROM generate_series(1, {n}) AS g(i)",
    "mariadb": "SELECT seq AS i FROM seq_1_to_{n}",
    "sqlite": "WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < {n}) "
    "SELECT i FROM g",
}
DIGEST = {
    "postgresql": "sha256(CAST(CAST(i AS TEXT) AS bytea))",
    "mariadb": "UNHEX(SHA2(i, 256))",
    "sqlite": "CAST('x' || i AS BLOB)",
}


async def fill(database, due):
    """Many records, of which so many are due; faster than a store could."""
    digest, numbers = DIGEST[database.name], NUMBERS[database.name].format(n=MANY)
    key = _rows.scope_key(SCOPE).hex()
    is_postgresql = database.name == "postgresql"
    scope = rf"CAST('\x{key}' AS bytea)" if is_postgresql else f"X'{key}'"
    blob = {"postgresql": "bytea", "mariadb": "BINARY"}.get(database.name, "BLOB")
    name = f"""CAST('["x"]' AS {blob})"""
    falls_due, later = to_micros(START), to_micros(START + timedelta(days=30))
    await database.execute(
        f"""INSERT INTO {{t}}records
        (scope_key, seller_key, scope, seller, sellers, due_at, dies_at, generation,
            revision, lease_until, body)
        SELECT {scope}, {digest}, {name}, {name}, {name},
            CASE WHEN i <= {due} THEN {falls_due} ELSE {later} + i END, {later} + i, 1, 1, 0, {name}
        FROM ({numbers}) AS numbers""",
        "INSERT INTO {t}sellers (seller_key, record_id) SELECT seller_key, id FROM {t}records",
    )
    how = {"mariadb": "ANALYZE TABLE {t}records, {t}sellers", "sqlite": "ANALYZE"}
    await database.execute(how.get(database.name, "ANALYZE {t}records"))
    if database.name == "postgresql":
        await database.execute("ANALYZE {t}sellers")


async def everything(store):
    """One use of every method, and of every way through it."""
    for n in range(5):
        due_at, dies_at = START - MINUTE, START + n * MINUTE
        await store.put(record(f"{n}", f"also {n}", due_at=due_at, dies_at=dies_at))
    kept = await store.get(SCOPE, "also 1")
    kept = await store.put(evolve(kept, body=b"new"))
    kept = await store.put(evolve(kept, seller_ids=("1", "also 2")), release="a")
    await store.put(record("taker", "also 3", "3"))
    await store.put_many([record(f"many {n}", f"also {n}") for n in range(3)])
    await store.get_many(SCOPE, [f"also {n}" for n in range(5)])
    await store.lease(SCOPE, "1", holder="a", seconds=60)
    await store.lease(SCOPE, "1", holder="b", seconds=0)
    await store.lease(SCOPE, "1", holder="a", seconds=0)
    assert await store.claim(SCOPE, due_by=START, limit=2, holder="a", seconds=60)
    await store.next_due(SCOPE)
    await asyncio.gather(
        *(store.lease(SCOPE, f"{n}", holder="b", seconds=60) for n in range(4)),
    )
    kept = [await store.get(SCOPE, f"{n}") for n in range(4)]
    await asyncio.gather(*(store.put(evolve(one, body=b"many"), release="b") for one in kept))
    await store.remove(SCOPE, "taker")
    async for _ in store.records(SCOPE):
        break


def steps(plan):
    """A plan of PostgreSQL, flat."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from steps(below)


async def read_rows(db, database, statement, values):
    """How many rows of records a statement looks at, by the database's own count."""
    if database.name == "postgresql":
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        (plan,) = (await db.exec_driver_sql(explain, values)).one()
        plan = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
        return max(
            (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
            for step in steps(plan)
        )
    before = await _handled(db)
    result = await db.exec_driver_sql(statement, values)
    if result.returns_rows:
        result.all()
    return await _handled(db) - before


async def _handled(db):
    rows = await db.exec_driver_sql(
        "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%%' "
        "OR Variable_name = 'Handler_icp_attempts'"
    )
    return sum(int(row[1]) for row in rows)


def remembered(engine):
    """Every statement that looks for rows, with its values."""
    seen = {}

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def asked(connection, cursor, statement, values, context, many):
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            seen.setdefault(statement, values[0] if many else values)

    return seen


@pytest.mark.parametrize("due", [20, MANY // 2], ids=["few are due", "many are due"])
async def test_no_statement_looks_at_all_records(server, due):
    """The server itself says how many rows each of them takes in hand."""
    await fill(server, due)
    async with server.engine() as engine:
        seen = remembered(engine)
        store = server.store(engine)
        await everything(store)
        asked = dict(seen)
        assert any("SKIP LOCKED" in one for one in asked)
        async with engine.connect() as db:
            for statement, values in asked.items():
                rows = await read_rows(db, server, statement, values)
                # MariaDB counts a row in the index, in the table and in the window of those to sort
                assert rows <= 4 * CLAIM_WINDOW, (rows, statement)
                await db.rollback()


async def test_a_page_is_read_from_where_the_last_one_ended(server):
    """And not from the beginning of its scope, whatever index that is known by."""
    await fill(server, 0)
    ((last,),) = await server.execute("SELECT max(id) FROM {t}records")
    async with server.engine() as engine:
        store = server.store(engine)
        await store.next_due(SCOPE)
        sql = store._transactions._sql
        seen = remembered(engine)
        async with engine.connect() as db:
            await _rows.page(db, sql, SCOPE, last - 1_000)
            ((statement, values),) = seen.items()
            assert await read_rows(db, server, statement, values) <= 3 * _rows._PAGE_SIZE


@pytest.mark.parametrize("due", [20, 5_000], ids=["few are due", "many are due"])
async def test_no_statement_scans_a_file(tables_of_sqlite, due):
    """None scans a table, or an index from end to end; SQLite itself says so."""
    database = tables_of_sqlite
    await fill(database, due)
    async with database.engine() as engine:
        seen = remembered(engine)
        await everything(database.store(engine))
        asked = dict(seen)
        async with engine.connect() as db:
            for statement, values in asked.items():
                plan = await db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
                for step in plan:
                    is_bounded = step[3] in {"SCAN due", "SCAN CONSTANT ROW"} or "layout" in step[3]
                    assert is_bounded or not step[3].startswith("SCAN"), (step, statement)
                await db.rollback()


@pytest.fixture
def tables_of_sqlite(tables):
    return tables("aiosqlite")


@pytest.mark.parametrize("most", [500, 30], ids=["few are due", "many are due"])
async def test_the_earliest_expiry_goes_first_among_those_that_fell_due_first(
    database, monkeypatch, most
):
    """Among all that are due, where no more are due than are sorted."""
    monkeypatch.setattr(_leases, "CLAIM_WINDOW", most)
    chance = random.Random(3)
    seconds = [n - 50 for n in range(100)]
    chance.shuffle(seconds)
    async with database.store() as store:
        for n, offset in enumerate(seconds):
            dies_at = START + chance.randrange(10**6) * MINUTE / 60
            due_at = START + timedelta(seconds=offset)
            await store.put(record(f"{n}", due_at=due_at, dies_at=dies_at))
        due = [one async for one in store.records(SCOPE) if one.due_at < START]
        for one in due[::5]:
            await store.lease(SCOPE, one.seller_id, holder="other", seconds=600)
        left = sorted(
            (one for one in due if one not in due[::5]),
            key=lambda one: (one.due_at.minute, one.dies_at),
        )
        by = START - timedelta(seconds=1)
        while some := await store.claim(SCOPE, due_by=by, limit=7, holder="a", seconds=600):
            assert some == sorted(left[:most], key=lambda one: one.dies_at)[:7]
            left = [one for one in left if one not in some]
        assert not left


async def test_claims_of_several_connections_share_what_is_due(server):
    """At the same time: each is given as much as it asked for, and nothing twice."""
    new = [record(f"{n}", due_at=START, dies_at=START + n * MINUTE) for n in range(300)]
    async with server.store() as store, server.store() as other:
        await store.put_many(new)
        claims = [
            one.claim(SCOPE, due_by=START, limit=20, holder=f"{n}", seconds=60)
            for n in range(6)
            for one in (store, other)
        ]
        found = await asyncio.gather(*claims)
        assert all(some == sorted(some, key=lambda one: one.dies_at) for some in found)
        sellers = [one.seller_id for some in found for one in some]
        assert len(sellers) == len(set(sellers))
        assert len(sellers) >= 200
