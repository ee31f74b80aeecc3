"""What many ask for at the same time is done in one go, and each is told of its own."""

import asyncio
from datetime import UTC, datetime

import pytest
from attrs import evolve
from sql_helpers import Proxy
from sqlalchemy import event
from store_helpers import SCOPE, record

from iop_async import StaleRecord, StoreError
from iop_async.stores._sqlalchemy import SQLAlchemyStore
from iop_async.stores._sqlalchemy._group_commit import GroupCommit

PAST = datetime(2026, 1, 1, tzinfo=UTC)
MANY = 100


async def filled(store, count=MANY):
    new = [record(f"{n}", f"also {n}") for n in range(count)]
    return sorted(await store.put_many(new), key=lambda one: int(one.seller_id))


def statements(store):
    seen = []

    @event.listens_for(store._engine.pool.sync_engine, "before_cursor_execute")
    def asked(connection, cursor, statement, values, context, many):
        seen.append(statement)

    return seen


async def test_many_writes_are_few_statements(server):
    """Each is written as it would be by itself, and ends its lease."""
    async with server.store() as store:
        kept = await filled(store)
        leases = (store.lease(SCOPE, f"also {n}", holder="a", seconds=60) for n in range(MANY))
        seen = statements(store)
        assert await asyncio.gather(*leases) == kept
        assert len(seen) < MANY / 4
        seen.clear()
        changed = [evolve(one, body=b"\0%d" % n, due_at=PAST) for n, one in enumerate(kept)]
        written = await asyncio.gather(
            *(store.put(one, release="a" if n % 2 else None) for n, one in enumerate(changed))
        )
        assert len(seen) < MANY / 4
        assert written == [evolve(one, revision=2) for one in changed]
        assert await asyncio.gather(*(store.get(SCOPE, f"{n}") for n in range(MANY))) == written
        found = await store.claim(SCOPE, due_by=PAST, limit=MANY, holder="b", seconds=60)
        assert {one.seller_id for one in found} == {f"{n}" for n in range(1, MANY, 2)}


async def test_each_is_told_of_its_own(server):
    """Of those in one batch, some come too late, some change sellers, and some are written."""
    async with server.store() as store:
        kept = await filled(store, 30)
        await asyncio.gather(*(store.put(evolve(one, body=b"newer")) for one in kept[::3]))
        changes = [evolve(one, body=b"changed") for one in kept]
        changes[1::3] = [evolve(one, seller_ids=(one.seller_id, "x" + one.seller_id))
                         for one in changes[1::3]]  # fmt: skip
        told = await asyncio.gather(*map(store.put, changes), return_exceptions=True)
        assert all(isinstance(one, StaleRecord) for one in told[::3])
        assert [one.revision for n, one in enumerate(told) if n % 3] == [2] * 20
        for one in told[1::3]:
            assert await store.get(SCOPE, f"x{one.seller_id}") == one
        again = await asyncio.gather(*map(store.put, changes), return_exceptions=True)
        assert [one for n, one in enumerate(again) if n % 3] == [
            one for n, one in enumerate(told) if n % 3
        ]


async def test_each_lease_is_somebodys_own(server):
    """Of those in one batch, some are held, some are lengthened, and some are of nobody."""
    async with server.store() as store, server.store() as other:
        kept = await filled(store, 20)
        for n in range(5):
            assert await other.lease(SCOPE, f"{n}", holder="other", seconds=60)
        names = [f"{n}" for n in range(20)] + [f"also {n}" for n in range(20)] + ["nobody"]

        async def lease_all(holder):
            leases = (store.lease(SCOPE, name, holder=holder, seconds=60) for name in names)
            return await asyncio.gather(*leases)

        expected = [None] * 5 + kept[5:] + [None] * 5 + kept[5:] + [None]
        for _ in range(2):
            assert await lease_all("a") == expected
        both = await asyncio.gather(lease_all("a"), lease_all("b"))
        assert both == [expected, [None] * len(names)]


async def test_a_locked_record_holds_up_nobody_else(server):
    """Neither those in its batch nor those after it; it is written when the lock is gone."""
    async with server.store(timeout=60) as store:
        kept = await filled(store, 20)
        first = "SELECT id, seller FROM {t}records ORDER BY id LIMIT 1"
        ((row_id, seller),) = await server.execute(first)
        n = int(bytes(seller))
        async with server.locked(f"UPDATE {{t}}records SET due_at = 1 WHERE id = {row_id}"):
            writes = [asyncio.create_task(store.put(evolve(one, body=b"2"))) for one in kept]
            late = writes.pop(n)
            async with asyncio.timeout(30):
                changed = [evolve(one, body=b"3") for one in await asyncio.gather(*writes)]
                await asyncio.gather(*map(store.put, changed))
            assert not late.done()
        assert (await late).revision == 2


async def test_what_cannot_be_read_is_leased_to_nobody(server):
    """Its caller is told, and the others have their leases."""
    async with server.store() as store:
        kept = await filled(store, 20)
        await server.execute("UPDATE {t}records SET generation = -1 WHERE id % 2 = 0")
        leases = (store.lease(SCOPE, f"{n}", holder="a", seconds=60) for n in range(20))
        told = await asyncio.gather(*leases, return_exceptions=True)
        spoiled = [one for one in told if isinstance(one, StoreError)]
        assert len(spoiled) == 10
        assert all("cannot be read" in str(one) for one in spoiled)
        assert [one for one in told if one in kept] == [
            one for one, what in zip(kept, told, strict=True) if not isinstance(what, StoreError)
        ]
        held = await server.execute("SELECT count(*) FROM {t}records WHERE lease_until > 0")
        assert held == [(10,)]


async def test_a_batch_whose_acknowledgement_is_lost_is_made_once(server):
    """Each of its callers is told that its own was made."""
    async with Proxy(server.url) as proxy, server.store(proxy.url) as store:
        kept = await filled(store, 40)
        for _ in range(3):
            await asyncio.gather(*(store.get(SCOPE, f"{n}") for n in range(8)))
        proxy.cut_at("thirty", "thirty") if server.name == "postgresql" else proxy.cut_at("COMMIT")
        changed = [evolve(one, body=b"thirty-%d" % n) for n, one in enumerate(kept)]
        written = await asyncio.gather(*map(store.put, changed))
        assert proxy.cuts
        assert written == [evolve(one, revision=2) for one in changed]
        assert {one.revision async for one in store.records(SCOPE)} == {2}


async def test_a_server_that_falls_silent_is_told_to_all(server):
    """In the time that one takes, and not in as many times as there are callers."""
    async with Proxy(server.url) as proxy:
        store = SQLAlchemyStore(proxy.url, table_prefix=server.prefix, timeout=0.5)
        kept = await filled(store, 40)
        proxy.is_silent = True
        async with asyncio.timeout(10):
            told = await asyncio.gather(
                *(store.put(evolve(one, body=b"2")) for one in kept), return_exceptions=True
            )
        assert all("did not answer in time" in str(one) for one in told)
        assert all(one.retryable for one in told)
        proxy.is_silent = False
        proxy.cut()
        await store.aclose()


@pytest.fixture
def mariadb(tables):
    return tables("mariadb")


@pytest.mark.parametrize("mode", ["ORACLE", "ANSI", "TRADITIONAL"])
async def test_the_mode_of_a_session_does_not_matter(mariadb, mode):
    """Other words are reserved there, and other values are errors."""
    url = f"{mariadb.url}?sql_mode={mode}"
    async with mariadb.store(url) as store:
        kept = await filled(store, 40)
        leases = (store.lease(SCOPE, f"{n}", holder="a", seconds=60) for n in range(40))
        seen = statements(store)
        assert await asyncio.gather(*leases) == kept
        changed = [evolve(one, body=b"2") for one in kept]
        releases = [None, "a", "b", ""] * 10
        await asyncio.gather(*map(store.put, changed))
        changed = [evolve(one, revision=2, body=b"3") for one in kept]
        await asyncio.gather(
            *(store.put(one, release=who) for one, who in zip(changed, releases, strict=True))
        )
        assert len(seen) < 30
    ended = await mariadb.execute("SELECT count(*) FROM {t}records WHERE lease_until = 0")
    assert ended == [(10,)]


class Doer:
    """Does numbers, and notes in which batches."""

    def __init__(self, **outcomes):
        self.batches, self.outcomes = [], outcomes
        self.gate = asyncio.Event()
        self.gate.set()
        self.group = GroupCommit(
            do_one=self.one,
            do_many=self.many,
            group=lambda n: n >= 1000,
            identity=lambda n: n,
            size=lambda n: 2**19 if n >= 1000 else 1,
        )

    async def one(self, n):
        self.batches.append([n])
        await asyncio.sleep(0.001)
        await self.gate.wait()
        return -n

    async def many(self, numbers):
        self.batches.append(list(numbers))
        await asyncio.sleep(0.001)
        await self.gate.wait()
        return [self.outcomes.get(f"n{n}", -n) for n in numbers]


async def test_nobody_waits_for_a_batch_to_fill():
    """One that comes alone is done alone; those that come meanwhile are done together."""
    doer = Doer()
    assert await doer.group.do(1) == -1
    assert await asyncio.gather(*map(doer.group.do, range(2, 9))) == [-n for n in range(2, 9)]
    assert doer.batches == [[1], [2], [3, 4, 5, 6, 7, 8]]


async def test_a_batch_holds_what_goes_together():
    """Nobody twice, of one group, and not too many bytes."""
    doer = Doer()
    numbers = [1, 2, 2, 3, 1000, 1001, 1002]
    assert await asyncio.gather(*map(doer.group.do, numbers)) == [-n for n in numbers]
    assert doer.batches == [[1], [2, 3], [2], [1000, 1001], [1002]]


async def test_errors_in_a_batch_are_each_ones_own():
    """And what was not done in it is done by itself."""
    doer = Doer(n3=StoreError("no"), n4=None)
    told = await asyncio.gather(*map(doer.group.do, range(1, 6)), return_exceptions=True)
    assert [told[0], *told[1:2], *told[3:]] == [-1, -2, -4, -5]
    assert str(told[2]) == "no"
    assert doer.batches == [[1], [2, 3, 4, 5], [4]]


async def test_one_that_hangs_holds_nobody_up():
    """Those who come after it go on after a moment."""
    doer = Doer()
    doer.gate.clear()
    first = asyncio.create_task(doer.group.do(1))
    await asyncio.sleep(0)
    others = [asyncio.create_task(doer.group.do(n)) for n in (2, 3)]
    async with asyncio.timeout(5):
        while len(doer.batches) < 2:
            await asyncio.sleep(0.01)
    assert doer.batches == [[1], [2, 3]]
    doer.gate.set()
    assert await asyncio.gather(first, *others) == [-1, -2, -3]
    assert await doer.group.do(4) == -4


async def test_one_that_is_cancelled_leaves_its_turn_to_the_next():
    """Whether it waits, or was to lead."""
    doer = Doer()
    doer.gate.clear()
    tasks = [asyncio.create_task(doer.group.do(n)) for n in range(1, 6)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    doer.gate.set()
    tasks[0].add_done_callback(lambda _: tasks[1].cancel())
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [told[0], *told[3:]] == [-1, -4, -5]
    assert await doer.group.do(6) == -6


@pytest.mark.parametrize("failing", [StoreError("no"), ValueError("a bug")])
async def test_one_that_fails_wakes_the_others(failing):
    """With what it was alone."""
    doer = Doer()

    async def fail(_):
        await asyncio.sleep(0.001)
        raise failing

    doer.group._do_one = fail
    first = asyncio.create_task(doer.group.do(1))
    await asyncio.sleep(0)
    others = asyncio.gather(*map(doer.group.do, (2, 3)))
    with pytest.raises(type(failing)):
        await first
    assert await others == [-2, -3]


def test_what_another_event_loop_left_keeps_nobody_waiting():
    """As in a process that was forked while something was under way."""
    doer = Doer()
    doer.group._is_under_way, doer.group._loop = True, object()

    async def do():
        async with asyncio.timeout(5):
            return await doer.group.do(1)

    assert asyncio.run(do()) == -1
