"""Many tasks, hosts and processes at one database."""

import asyncio
import json
import random
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest
from attrs import evolve
from sqlalchemy import NullPool, StaticPool
from store_helpers import SCOPE, is_whole, record, run, whole

from iop_async import StaleRecord, StoreError
from iop_async.stores._sqlalchemy import _databases

PAST = datetime(2026, 1, 1, tzinfo=UTC)

ENGINES = {
    "own": None,
    "default": {},
    "autocommit": {"isolation_level": "AUTOCOMMIT"},
    "serializable": {"isolation_level": "SERIALIZABLE"},
    "no pool": {"poolclass": NullPool},
    "one connection": {"poolclass": StaticPool},
}


async def rob_one_another(store, writer, rounds):
    """Put records under a few names that all the others want as well."""
    chance = random.Random(writer)
    names = [f"{n}" for n in range(8)]
    for n in range(rounds):
        seller, *more = chance.sample(names, chance.randint(1, 6))
        kept = await store.get(SCOPE, seller)
        revision = kept.revision if kept is not None and kept.seller_id == seller else 0
        due_at = chance.choice((PAST, None))
        with suppress(StaleRecord):
            await store.put(
                record(
                    seller, *more, revision=revision, body=f"{writer} {n}".encode(), due_at=due_at
                ),
                release=f"{writer}",
            )
        match chance.randrange(4):
            case 0:
                await store.claim(SCOPE, due_by=PAST, limit=3, holder=f"{writer}", seconds=0.01)
            case 1:
                await store.lease(SCOPE, chance.choice(names), holder=f"{writer}", seconds=0.01)
            case 2 if n < rounds - 1:  # so that something is kept at the end
                await store.remove(SCOPE, chance.choice(names))


async def is_consistent(database):
    """Whether each name finds the one record that lists it, and every record is found."""
    async with database.store() as store:
        kept = [one async for one in store.records(SCOPE)]
        for one in kept:
            for seller in one.seller_ids:
                assert await store.get(SCOPE, seller) == one
    listed = [seller for one in kept for seller in one.seller_ids]
    assert len(listed) == len(set(listed))
    assert await database.execute("SELECT count(*) FROM {t}sellers") == [(len(listed),)]
    return kept


async def storm(database, engine, writers, rounds):
    hosts = [database.store(engine) for _ in range(1 if engine is not None else 3)]
    await asyncio.gather(
        *(rob_one_another(hosts[n % len(hosts)], n, rounds) for n in range(writers))
    )
    for host in hosts:
        await host.aclose()
    assert await is_consistent(database)


@pytest.mark.parametrize("options", ENGINES.values(), ids=ENGINES)
async def test_a_storm_of_records_that_take_names_from_each_other(database, options):
    """No deadlock comes through, no name is lost or found twice: by any pool and isolation."""
    if options is None:
        await storm(database, None, 12, 8)
        return
    if database.name == "sqlite" and "isolation_level" not in options:
        options = {**options, "connect_args": {"timeout": 30}}
    async with database.engine(**options) as engine:
        await storm(database, engine, 10, 5)
        if options.get("poolclass") is None:
            assert engine.pool.checkedout() == 0


@pytest.mark.drill
async def test_a_long_storm(database):
    """The same for longer, by more of them, on several hosts."""
    await storm(database, None, 40, 20)


async def test_servers_that_cannot_pass_by_locked_rows(server, monkeypatch):
    """Claims wait for one another there, and each record is claimed once all the same."""
    monkeypatch.setattr(_databases.Database, "skips_locked", lambda *_: False)
    await storm(server, None, 8, 8)
    await server.empty()
    claimed = []
    hosts = [server.store() for _ in range(3)]
    await asyncio.gather(*(hosts[n % 3].put(record(f"{n}", due_at=PAST)) for n in range(100)))

    async def claim(host, holder):
        while found := await host.claim(SCOPE, due_by=PAST, limit=3, holder=holder, seconds=600):
            claimed.extend(one.seller_id for one in found)

    await asyncio.gather(*(claim(hosts[n % 3], f"{n}") for n in range(12)))
    assert sorted(claimed) == sorted(f"{n}" for n in range(100))
    for host in hosts:
        await host.aclose()


async def test_a_claim_passes_by_what_is_locked(server):
    """Somebody's transaction that hangs holds up nobody else's record."""
    async with server.store() as store:
        for n in range(4):
            dies_at = PAST + n * timedelta(minutes=1)
            await store.put(record(f"{n}", due_at=PAST, dies_at=dies_at))
        ids = [row.id for row in await server.execute("SELECT id FROM {t}records ORDER BY id")]
        busy = f"UPDATE {{t}}records SET generation = 2 WHERE id IN ({ids[0]}, {ids[2]})"
        async with server.locked(busy):
            found = await store.claim(SCOPE, due_by=PAST, limit=3, holder="a", seconds=60)
            assert [one.seller_id for one in found] == ["1", "3"]
        found = await store.claim(SCOPE, due_by=PAST, limit=3, holder="a", seconds=60)
        assert [one.seller_id for one in found] == ["0", "2"]


def test_four_processes_share_a_database(database):
    """No record is claimed twice, no claim is left out, no write is lost."""
    due_at = datetime.now(UTC) - timedelta(minutes=1)

    async def fill():
        async with database.store() as store:
            await store.put(record("shared", generation=0))
            await asyncio.gather(*(store.put(record(f"{n}", due_at=due_at)) for n in range(200)))

    run(fill)
    names = ("a", "b", "c", "d")
    script = Path(__file__).with_name("sql_children.py")
    children = [
        subprocess.Popen(
            [sys.executable, str(script), database.url, database.prefix, name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for name in names
    ]  # fmt: skip
    claimed = []
    for one in children:
        out, error = one.communicate(timeout=300)
        assert one.returncode == 0, error.decode()
        claimed.append(json.loads(out))
    assert sorted(chain.from_iterable(claimed)) == sorted(f"{n}" for n in range(200))

    async def look():
        async with database.store() as store:
            shared = await store.get(SCOPE, "shared")
            own = [await store.get(SCOPE, f"own {name}") for name in names]
            return shared.generation, [one.generation for one in own]

    assert run(look) == (100, [26] * 4)


async def write_and_tell(store, seller, acknowledged):
    kept = await store.put(whole(seller, 1))
    acknowledged[seller] = kept
    for generation in range(2, 6):
        kept = await store.put(evolve(whole(seller, generation), revision=kept.revision))
        acknowledged[seller] = kept


async def test_a_storm_of_cancelled_tasks_loses_nothing(database):
    """Nor does it leave a transaction open, or a connection that is of no more use."""
    chance = random.Random(1)
    acknowledged = {}
    async with database.engine() as engine:
        store = database.store(engine)
        tasks = [
            asyncio.create_task(write_and_tell(store, f"{n}", acknowledged)) for n in range(100)
        ]
        while not all(task.done() for task in tasks):
            for task in chance.sample(tasks, 5):
                task.cancel()
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.02)))
        assert any(task.cancelled() for task in tasks)
        await store.aclose()
        assert engine.pool.checkedout() == 0
    async with database.store() as store:
        found = {one.seller_id: one async for one in store.records(SCOPE)}
    assert all(map(is_whole, found.values()))
    for seller, one in acknowledged.items():
        assert found[seller].revision >= one.revision


async def test_a_write_whose_caller_is_cancelled_is_made_all_the_same(database):
    """The pair it holds would be lost otherwise."""
    store = database.store()
    write = asyncio.create_task(store.put(record()))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    await store.aclose()
    async with database.store() as store:
        assert await store.get(SCOPE, "1001") is not None


async def test_a_cancelled_claim_leases_nothing(database):
    """Nobody would know of the lease, and the seller would wait for its end."""
    async with database.store() as store:
        kept = await store.put(record(due_at=PAST))
        for n in range(20):
            claim = asyncio.create_task(
                store.claim(SCOPE, due_by=PAST, limit=9, holder="a", seconds=600)
            )
            await asyncio.sleep(0.001 * n)
            if not claim.done():
                claim.cancel()
            with suppress(asyncio.CancelledError):
                for one in await claim:
                    await store.lease(SCOPE, one.seller_id, holder="a", seconds=0)
        await store.aclose()
    async with database.store() as store:
        found = await store.claim(SCOPE, due_by=PAST, limit=9, holder="b", seconds=600)
        assert found == [kept]


async def test_a_claim_that_was_done_when_its_caller_was_cancelled_is_undone(database):
    """The result was there, and nobody took it."""
    async with database.store() as store:
        kept = await store.put(record(due_at=PAST))
        claim = asyncio.create_task(
            store.claim(SCOPE, due_by=PAST, limit=9, holder="a", seconds=600)
        )
        await asyncio.sleep(0)
        (work,) = store._tasks._running
        work.add_done_callback(lambda _: claim.cancel())
        with pytest.raises(asyncio.CancelledError):
            await claim
    async with database.store() as store:
        assert await store.claim(SCOPE, due_by=PAST, limit=9, holder="b", seconds=60) == [kept]


async def test_closing_finishes_what_was_asked_for(database):
    """Whoever comes later is told."""
    store = database.store()
    writes = [asyncio.create_task(store.put(record(f"{n}"))) for n in range(30)]
    await asyncio.sleep(0)
    await asyncio.gather(store.aclose(), store.aclose())
    assert all([await write for write in writes])
    with pytest.raises(StoreError, match="this store is closed; make a new one"):
        await store.get(SCOPE, "1")
    async with database.store() as again:
        assert len([one async for one in again.records(SCOPE)]) == 30
