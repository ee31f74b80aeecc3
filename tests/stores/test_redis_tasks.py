"""Tasks, event loops and clients around a Redis store."""

import asyncio
import copy
import gc
import pickle
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import anyio
import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import trio
from attrs import evolve
from redis_servers import own_prefix, own_server
from services import REDIS
from store_helpers import SCOPE, count_up, is_whole, record, whole

from iop_async import StoreError
from iop_async.stores._redis import RedisStore, _runner

PAST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def prefix():
    with own_prefix() as mine:
        yield mine


async def write_and_tell(store, seller, acknowledged):
    kept = await store.put(whole(seller, 1))
    acknowledged[seller] = kept
    for generation in range(2, 6):
        change = whole(seller, generation)
        kept = await store.put(evolve(change, revision=kept.revision))
        acknowledged[seller] = kept


@pytest.mark.parametrize("whose", ["the store's client", "the user's client"])
async def test_a_storm_of_cancelled_tasks_loses_nothing(prefix, whose):
    """And no answer reaches another task than the one it is for."""
    chance = random.Random(1)
    acknowledged = {}
    client = redis.asyncio.Redis.from_url(REDIS, max_connections=3)
    async with client, RedisStore(REDIS if "store" in whose else client, prefix=prefix) as store:
        tasks = [
            asyncio.create_task(write_and_tell(store, f"{n}", acknowledged)) for n in range(200)
        ]
        while not all(task.done() for task in tasks):
            for task in chance.sample(tasks, 8):
                task.cancel()
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.005)))
        assert any(task.cancelled() for task in tasks)
        assert not [task for task in tasks if not task.cancelled() and task.exception()]
        found = {one.seller_id: one async for one in store.records(SCOPE)}
        assert all(map(is_whole, found.values()))
        for seller, one in acknowledged.items():
            assert found[seller].revision >= one.revision


async def test_a_write_whose_caller_is_cancelled_is_made_all_the_same(prefix):
    """The pair it holds would be lost otherwise; closing waits for it."""
    async with RedisStore(REDIS, prefix=prefix) as store:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.put(record())
        assert scope.cancelled_caught
    async with RedisStore(REDIS, prefix=prefix) as store:
        assert await store.get(SCOPE, "1001") is not None


async def test_a_cancelled_claim_leases_nothing(prefix):
    """Nobody would know of the lease, and the seller would wait for its end."""
    async with RedisStore(REDIS, prefix=prefix) as store:
        kept = await store.put(record(due_at=PAST))
        for n in range(20):
            with anyio.move_on_after(0.0001 * n) as scope:
                await store.claim(SCOPE, due_by=PAST, limit=9, holder=f"{n}", seconds=600)
            if not scope.cancelled_caught:
                await store.lease(SCOPE, "1001", holder=f"{n}", seconds=0)
    async with RedisStore(REDIS, prefix=prefix) as store:
        found = await store.claim(SCOPE, due_by=PAST, limit=9, holder="b", seconds=600)
        assert found == [kept]


async def test_taking_a_claim_back_leaves_later_leases(prefix):
    """The record may have been leased by somebody else, or anew, in the meantime."""
    async with RedisStore(REDIS, prefix=prefix) as store:
        await store.put(record(due_at=PAST))
        held, go_on = asyncio.Event(), asyncio.Event()
        execute = store._runner.execute

        async def hold(one):
            answer = await execute(one)
            if one.script.name == "claim":
                held.set()
                await go_on.wait()
            return answer

        store._runner.execute = hold
        claiming = asyncio.create_task(
            store.claim(SCOPE, due_by=PAST, limit=9, holder="a", seconds=600)
        )
        await held.wait()
        await store.lease(SCOPE, "1001", holder="a", seconds=500)
        claiming.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await claiming
    async with RedisStore(REDIS, prefix=prefix) as store:
        assert await store.lease(SCOPE, "1001", holder="b", seconds=1) is None


async def test_closing_finishes_what_was_asked_for(prefix):
    """Whoever comes later is told; a client of the user's stays open."""
    async with redis.asyncio.Redis.from_url(REDIS) as client:
        store = RedisStore(client, prefix=prefix)
        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(store.put, record(f"{n}"))
            await asyncio.sleep(0)
            tasks.start_soon(store.aclose)
            tasks.start_soon(store.aclose)
        for attempt in (store.put(record()), store.get(SCOPE, "1"), store.next_due(SCOPE)):
            with pytest.raises(StoreError, match="this store is closed; make a new one"):
                await attempt
        assert await client.ping()
        async with RedisStore(REDIS, prefix=prefix) as again:
            assert len([one async for one in again.records(SCOPE)]) == 50


async def test_a_store_that_was_closed_unused_stays_closed(prefix):
    """It would open connections that nobody closes."""
    store = RedisStore(REDIS, prefix=prefix)
    await store.aclose()
    with pytest.raises(StoreError, match="this store is closed; make a new one"):
        await store.get(SCOPE, "1001")


async def test_a_store_is_entered_once(prefix):
    """Its owner closes it once."""
    async with RedisStore(REDIS, prefix=prefix) as store:
        with pytest.raises(RuntimeError, match="entered before"):
            await store.__aenter__()


def test_trio_is_told_that_it_cannot(prefix):
    """Before anything is sent, and with another way out."""
    store = RedisStore(REDIS, prefix=prefix)
    with pytest.raises(RuntimeError, match=r"runs under asyncio only.*SQLiteStore"):
        trio.run(store.put, record())
    with pytest.raises(RuntimeError, match=r"runs under asyncio only.*SQLiteStore"):
        trio.run(store.aclose)


def test_a_client_of_the_user_belongs_to_one_event_loop(prefix):
    """Its connections do; the second one is told, instead of waiting for ever."""
    store = RedisStore(redis.asyncio.Redis.from_url(REDIS), prefix=prefix)

    async def use_first():
        await store.put(record())
        with pytest.raises(StoreError, match=r"belongs to the event loop.*Give the store a URL"):
            await asyncio.to_thread(asyncio.run, store.get(SCOPE, "1001"))
        await store._runner._source.client().aclose()
        await store.aclose()

    asyncio.run(use_first())


def connections_of(server):
    """Those that clients of asyncio have open."""
    with server.client(client_name="test") as client:
        return [one for one in client.client_list() if one["name"] != "test"]


def test_connections_end_with_their_event_loop(tmp_path):
    """Also where nobody closes the store, which goes on in the next one."""
    with own_server(tmp_path) as server:
        store = RedisStore(server.url)

        async def main(n):
            await asyncio.gather(*(store.put(record(f"{n}/{m}")) for m in range(20)))
            assert connections_of(server)

        for n in range(3):
            asyncio.run(main(n))
            gc.collect()  # what was left open would warn
            until = time.monotonic() + 30
            while connections_of(server):
                assert time.monotonic() < until
        asyncio.run(store.aclose())


def test_event_loops_in_several_threads_share_a_store(prefix):
    """And whoever closes it has the others close what is theirs, when they have ended theirs."""
    store = RedisStore(REDIS, prefix=prefix)
    used, closed = threading.Barrier(5, timeout=60), threading.Barrier(5, timeout=60)

    async def work(n):
        await count_up(store, f"{n}", 20)
        await asyncio.to_thread(used.wait)
        if n == "0":
            await store.aclose()
        await asyncio.to_thread(closed.wait)
        with pytest.raises(StoreError, match="this store is closed"):
            await store.get(SCOPE, f"{n}")

    async def look():
        async with RedisStore(REDIS, prefix=prefix) as again:
            return [one.generation async for one in again.records(SCOPE)]

    with ThreadPoolExecutor(5) as threads:
        list(threads.map(lambda n: asyncio.run(work(n)), "01234"))
    assert asyncio.run(look()) == [21] * 5


async def test_a_server_is_not_asked_by_more_connections_than_the_client_allows(tmp_path):
    """A thousand tasks are no thousand sockets."""
    with own_server(tmp_path) as server:
        async with RedisStore(server.url) as store, anyio.create_task_group() as tasks:
            for n in range(1_000):
                tasks.start_soon(store.put, record(f"{n}"))
        with server.client() as client:
            assert client.info("stats")["total_connections_received"] < 40


async def test_one_connection_is_enough(tmp_path):
    """From the first command on, with which the store looks at the server's settings."""
    with own_server(tmp_path) as server:
        client = redis.asyncio.Redis(port=server.port, max_connections=1)
        async with client:
            store = RedisStore(client)
            assert await asyncio.gather(*(store.get(SCOPE, f"{n}") for n in range(5))) == [None] * 5


class Slow(redis.asyncio.Redis):
    """Has a server that takes its time."""

    async def execute_command(self, *args, **options):
        await asyncio.sleep(0.05)
        return await super().execute_command(*args, **options)


async def test_those_who_wait_for_their_turn_are_not_late(prefix):
    """The server's timeout is for what was sent to it."""
    client = Slow.from_url(REDIS, max_connections=8)
    async with client, RedisStore(client, prefix=prefix, timeout=2) as s:
        assert await asyncio.gather(*(s.get(SCOPE, f"{n}") for n in range(400))) == [None] * 400


async def test_whoever_waits_in_vain_was_not_sent(prefix, monkeypatch):
    """And is told so, with what to do."""
    monkeypatch.setattr(_runner, "_SLOT_TIMEOUT", 0.1)
    async with Slow.from_url(REDIS) as client, RedisStore(client, prefix=prefix) as store:
        answers = await asyncio.gather(
            *(store.put(record(f"{n}")) for n in range(400)), return_exceptions=True
        )
        refused = [one for one in answers if isinstance(one, StoreError)]
        assert all("no connection was free, so nothing was changed" in str(one) for one in refused)
        kept = len([one async for one in store.records(SCOPE)])
    assert 0 < kept == 400 - len(refused) < 400


@pytest.mark.parametrize(
    "url",
    [
        "redis://app:se%cret@h:99999/0", "redis://app:secret@h:port/0", "redis://:secret@[::1/0",
        "redis://app:secret@h/0?no_such_option=1", "redis://app:secret@h/0?db=secret",
        "redis://:12/secret@h/0", "rediss://app:12?secret@h", "redis://:12#secret@h:1",
        "unix://app:12/secret@/run/redis.sock", "http://app:secret@h/", "secret@h", "",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_unseen(url):
    """At once, and without repeating what may be a password."""
    with pytest.raises(ValueError, match=r"Redis|option") as caught:
        RedisStore(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "value", [redis.Redis(), None, 7, b"redis://h"], ids=lambda value: type(value).__name__
)
def test_what_is_no_asyncio_client_is_refused(value):
    """With the name of what is wanted."""
    with pytest.raises(TypeError, match="takes a URL, or a Redis"):
        RedisStore(value)


def test_a_client_that_reads_from_replicas_is_refused():
    """What it reads may be spent already."""
    client = redis.asyncio.RedisCluster("127.0.0.1", 1)
    client.load_balancing_strategy = "round robin"  # as the constructor of later releases has it
    sentinel = redis.asyncio.sentinel.Sentinel([("h", 1)])
    for reader in (client, sentinel.slave_for("mine")):
        with pytest.raises(ValueError, match="reads from replicas"):
            RedisStore(reader)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_makes_no_sense_is_refused(timeout):
    """It would never end, or never begin."""
    with pytest.raises(ValueError, match="positive number of seconds"):
        RedisStore(REDIS, timeout=timeout)


def test_a_client_that_asks_sentinels_is_named_after_their_service():
    """Where its master is, is known only when it is connected to."""
    client = redis.asyncio.sentinel.Sentinel([("h", 1)]).master_for("mine", db=3)
    assert "'Redis Sentinel mine/3'" in repr(RedisStore(client))


def test_constructing_opens_nothing():
    """Neither a socket nor an event loop is needed."""
    assert "10.255.255.1:1/3" in repr(RedisStore("redis://u:p@10.255.255.1:1/3"))


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_store_shows_and_gives_away_no_password(duplicate):
    """Neither its own nor that of a client that was given to it."""
    for redis_ in (
        "rediss://app:canary@h:7/0?client_name=canary",
        "unix:///run/redis.sock?password=canary",
        redis.asyncio.Redis(host="h", username="app", password="canary"),
        redis.asyncio.RedisCluster("h", 7, password="canary"),
    ):
        store = RedisStore(redis_)
        assert "canary" not in f"{store!r}{[store]}"
        with pytest.raises(TypeError, match="holds secrets"):
            duplicate(store)


async def test_bad_input_is_refused_before_anything_is_sent():
    """Nobody listens there, and nobody finds out."""
    store = RedisStore("redis://127.0.0.1:1/0")
    for attempt in (
        store.put(record("a\0b")),
        store.put(evolve(record(), due_at=datetime(2026, 1, 1))),  # noqa: DTZ001
        store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=0),
        store.lease(SCOPE, "1001", holder="a", seconds=-1),
    ):
        with pytest.raises(ValueError, match=r".+"):
            await attempt
