"""Many records in few statements, and new sellers that wait for nobody."""

import asyncio
import random

import pytest
import sqlalchemy as sa
from attrs import evolve
from sql_helpers import Proxy, write_and_remove
from sqlalchemy import event
from store_helpers import SCOPE, record
from test_sqlalchemy_crowds import is_consistent, rob_one_another

from iop_async import StaleRecord, StoreError
from iop_async.stores._sqlalchemy import _bulk, _transactions
from iop_async.stores._sqlalchemy._errors import is_undone

WHERE_SCOPE_IS_LOCKED = "SELECT * FROM {t}floors FOR UPDATE"


def some(count, begin=0, **facts):
    return [record(f"{n}", f"also {n}", **facts) for n in range(begin, begin + count)]


def statements_of(store):
    """What is sent from now on, but for what begins a transaction."""
    seen = []

    @event.listens_for(store._engine.pool.sync_engine, "before_cursor_execute")
    def sent(_connection, _cursor, statement, *_):
        if not statement.startswith(("START", "BEGIN", "UPDATE", "SET")):
            seen.append(statement)

    return seen


@pytest.fixture
def failures(monkeypatch):
    """What databases raised, each failure that was retried too."""
    seen = []
    classify = _transactions.classify

    def noted(exc):
        seen.append(exc)
        return classify(exc)

    monkeypatch.setattr(_transactions, "classify", noted)
    return seen


async def test_a_thousand_new_records_are_a_handful_of_statements(database):
    """However many they are, and as few where all of them are there already."""
    async with database.store() as store:
        await store.put(record("first"))
        seen = statements_of(store)
        counts = []
        for records in (some(10), some(400, 10), some(400, 10)):
            del seen[:]
            await store.put_many(records)
            counts.append(len(seen))
        # floors, rows, sellers, and floors again; no search names more than 500 keys
        assert counts == [5, 6, 2]


@pytest.fixture
def postgresql(tables):
    return tables("postgresql")


async def test_a_search_for_many_sellers_reads_no_table_from_end_to_end(postgresql):
    """As a planner would that knows little of a table, and of what is asked for even less."""
    async with postgresql.store() as store:
        for _ in range(2):
            for begin in range(0, 3_000, 500):
                await store.put_many(some(500, begin))
    # what a connection has counted is seen when it has ended
    counted = sa.text(
        "SELECT sum(idx_tup_fetch), sum(seq_tup_read) FROM pg_stat_user_tables"
        f" WHERE relname IN ('{postgresql.prefix}sellers', '{postgresql.prefix}records')"
    )
    async with postgresql.engine() as engine, engine.connect() as db, asyncio.timeout(30):
        while (counts := (await db.execute(counted)).one())[0] < 6_000:
            await db.commit()
            await asyncio.sleep(0.05)
    assert counts[1] < 3_000  # those of the test before this one were deleted, from end to end


async def test_a_new_seller_waits_for_nobody_who_locks_the_scope(server):
    """Neither alone nor among many; who moves sellers does."""
    async with server.store() as store:
        kept = await store.put(record("kept"))
        await store.remove(SCOPE, "kept")
        async with server.locked(WHERE_SCOPE_IS_LOCKED):
            new = await asyncio.wait_for(store.put(record("new")), 5)
            assert new.revision == kept.revision + 1
            written = await asyncio.wait_for(store.put_many(some(20)), 5)
            assert {one.revision for one in written} == {new.revision}
            move = asyncio.ensure_future(store.put(record("thief", "new")))
            await asyncio.sleep(0.1)
            assert not move.done()
        await move


@pytest.mark.parametrize("count", [1, 3])
async def test_a_seller_that_came_and_went_meanwhile_leaves_none_below_it(
    server, monkeypatch, count
):
    """Between the look at the floor and the insert, where no lock keeps anybody out."""
    insert_rows = _bulk._insert_rows
    gone = []

    async def late(*args):
        monkeypatch.setattr(_bulk, "_insert_rows", insert_rows)
        for _ in range(3):
            gone.append(await other.put(record("0", body=b"%d" % len(gone))))
            gone.append(await other.put(evolve(gone[-1], body=b"more")))
            await other.remove(SCOPE, "0")
        return await insert_rows(*args)

    async with server.store() as store, server.store() as other:
        monkeypatch.setattr(_bulk, "_insert_rows", late)
        records = some(count)
        written = await store.put_many(records) if count > 1 else [await store.put(records[0])]
        assert len(gone) == 6
        for one in written:
            assert one.revision == gone[-1].revision + 1
            assert await store.get(SCOPE, one.seller_id) == one
        with pytest.raises(StaleRecord):
            await store.put(evolve(gone[0], body=b"late"))


@pytest.mark.parametrize("shared", [0, 3], ids=["sellers of their own", "and the same few"])
async def test_writers_of_new_sellers_and_a_remover(server, failures, shared):
    """No revision of a seller is given twice; no deadlock where none of them wants the same."""
    await storm_of_new_sellers(server, shared, writers=6, rounds=2)
    assert shared or not [exc for exc in failures if is_undone(exc)]


@pytest.mark.drill
@pytest.mark.parametrize("shared", [0, 5], ids=["sellers of their own", "and the same few"])
async def test_many_writers_of_new_sellers_and_a_remover(server, failures, shared):
    """The same at length, by four hosts."""
    await storm_of_new_sellers(server, shared, writers=40, rounds=6, hosts=4)
    assert shared or not [exc for exc in failures if is_undone(exc)]


async def storm_of_new_sellers(database, shared, *, writers, rounds, hosts=1):
    stores = [database.store() for _ in range(hosts)]
    await write_and_remove(stores, shared, writers=writers, rounds=rounds)
    for store in stores:
        await store.aclose()
    assert await is_consistent(database)


async def test_importers_of_the_same_records_do_not_lock_each_other_out(server, failures):
    """Each in another order; one of them writes a record, and all are told that it is there."""
    async with server.store() as here, server.store() as there:
        records = some(200)
        outcomes = await asyncio.gather(
            here.put_many(records),
            there.put_many(records[::-1]),
            here.put_many(records[50:] + records[:50]),
        )
        assert outcomes[0] == outcomes[1][::-1] == outcomes[2][-50:] + outcomes[2][:-50]
        assert {one.revision for one in outcomes[0]} == {1}
    assert not [exc for exc in failures if is_undone(exc)]


async def test_importers_beside_writers_that_take_names_from_each_other(database):
    """Every name finds one record in the end, and every record is found."""

    async def bring(store, writer):
        chance = random.Random(writer)
        for n in range(8):
            names = chance.sample([f"{n}" for n in range(12)], 6)
            body = f"{writer} {n}".encode()
            await store.put_many(
                [record(*names[at : at + 2], body=body) for at in range(0, len(names), 2)]
            )

    async with database.store() as store:
        robbers = (rob_one_another(store, n, 6) for n in range(4))
        await asyncio.gather(*robbers, *(bring(store, n) for n in range(4)))
    assert await is_consistent(database)


async def test_a_lost_acknowledgement_of_many_is_made_good(server):
    """What was committed is found to be there, and what was not is written."""
    async with Proxy(server.url) as proxy, server.store(proxy.url) as store:
        await store.put(record("first"))
        proxy.cut_at("COMMIT")
        outcomes = await store.put_many(some(50))
        assert proxy.cuts == 1
        assert {one.revision for one in outcomes} == {1}
    assert len(await is_consistent(server)) == 51


async def test_many_records_are_written_whatever_becomes_of_the_caller(database):
    """As one is: a pair that is nowhere else would be lost."""
    async with database.store() as store:
        await store.put(record("first"))
        task = asyncio.ensure_future(store.put_many(some(100)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(await is_consistent(database)) == 101


@pytest.fixture
def mariadb(tables):
    return tables("mariadb")


async def test_a_record_that_is_too_large_fails_alone(mariadb):
    """A server that ends the connection at it is asked first what it takes."""
    async with mariadb.store() as store:
        huge = record("huge", body=bytes(9 * 2**20))
        kept, refused, also = await store.put_many([record("a"), huge, record("b")])
        assert isinstance(refused, StoreError)
        assert not refused.retryable
        assert "too large" in str(refused)
        assert [kept, also] == [await store.get(SCOPE, name) for name in ("a", "b")]
        with pytest.raises(StoreError, match="too large"):
            await store.put(huge)


async def test_many_are_written_where_an_insert_returns_nothing(database, monkeypatch):
    """As on MySQL, and on servers before MariaDB 10.5 and SQLite 3.35."""
    async with database.store() as store:
        await store.put(record("first"))
        monkeypatch.setattr(
            store._engine.pool.sync_engine.dialect, "insert_executemany_returning", False
        )
        written = await store.put_many(some(30))
        alone = await store.put(record("alone", "also alone"))
        assert await store.get(SCOPE, "also alone") == alone
        assert [await store.get(SCOPE, f"also {n}") for n in range(30)] == written
    assert len(await is_consistent(database)) == 32
