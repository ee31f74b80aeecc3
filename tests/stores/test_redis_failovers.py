"""Masters that change, and slots that move, beneath a Redis store."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest
import redis
import valkey.asyncio.sentinel
from attrs import evolve
from redis_servers import own_cluster, own_guarded, own_server
from store_helpers import SCOPE, record

from iop_async import StoreError
from iop_async.stores._redis import RedisStore, _scripts
from iop_async.stores._redis._clients import close
from iop_async.stores._redis._sentinels import newest_answer
from iop_async.testing import StoreConformance

PAST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with own_guarded(tmp_path_factory.mktemp("guarded")) as servers:
        yield servers


@pytest.mark.drill
@pytest.mark.alone
class TestBehindSentinels(StoreConformance):
    """Every promise of every store."""

    backends = ("asyncio",)
    lease_seconds = 1.0
    many = 200

    @pytest.fixture
    def make_store(self, guarded, request):
        prefix = f"p{abs(hash(request.node.nodeid))}"
        return lambda: RedisStore(guarded.url, prefix=prefix)


async def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def put_in_the_end(store, kept):
    """As a manager does: what the store does not take is tried again."""
    end = time.monotonic() + 60
    while True:
        try:
            return await store.put(kept)
        except StoreError as error:
            assert error.retryable
            assert time.monotonic() < end
            await asyncio.sleep(0.05)


@asynccontextmanager
async def by_url(guarded):
    yield guarded.url


@asynccontextmanager
async def by_a_client_of_valkey(guarded):
    """Which gives back a connection to the old master that was in use when the master changed."""
    sentinels = [("127.0.0.1", one.port) for one in guarded.sentinels]
    client = valkey.asyncio.sentinel.Sentinel(sentinels).master_for("mine")
    yield client
    await close(client)


async def keep_writing(store, seller, acknowledged, over):
    acknowledged[seller] = kept = await put_in_the_end(store, record(seller, generation=0))
    while not over.is_set():
        change = evolve(kept, generation=kept.generation + 1, body=f"{kept.revision}".encode())
        acknowledged[seller] = kept = await put_in_the_end(store, change)


@pytest.mark.drill
@pytest.mark.alone
@pytest.mark.parametrize("source", [by_url, by_a_client_of_valkey])
async def test_what_was_acknowledged_is_there_after_a_failover(guarded, source):
    """The old master goes on taking writes for ten seconds, which are lost without an error."""
    guarded.wait_until_ready()
    old, over, acknowledged = guarded.master(), asyncio.Event(), {}
    async with source(guarded) as at, RedisStore(at, prefix=source.__name__) as store:
        sellers = [f"{n}" for n in range(8)]
        writers = [
            asyncio.create_task(keep_writing(store, one, acknowledged, over)) for one in sellers
        ]
        await until(lambda: len(acknowledged) == len(sellers))
        guarded.fail_over()
        await until(lambda: guarded.master() not in (None, old))
        with old.client() as client:
            assert client.info("replication")["role"] == "master"  # else this shows nothing
        for seller in sellers:
            before = acknowledged[seller].revision
            await until(lambda: acknowledged[seller].revision > before + 20)  # noqa: B023
        over.set()
        await asyncio.gather(*writers)
        await until(lambda: guarded.master() not in (None, old) and is_replica(old))
        found = {one.seller_id: one async for one in store.records(SCOPE)}
    assert found == acknowledged


def is_replica(server):
    """Whether it obeys another by now; it closes every connection where it begins to."""
    with server.client() as client, suppress(redis.ConnectionError):
        return client.info("replication")["role"] == "slave"


@pytest.mark.drill
@pytest.mark.alone
async def test_a_master_that_stood_still_is_left(guarded):
    """A client that was idle meanwhile would notice nothing by itself."""
    guarded.wait_until_ready()
    async with RedisStore(guarded.url, prefix="frozen") as store:
        kept = await store.put(record(generation=0))
        old = guarded.master()
        with old.client() as client:
            client.set("a write", "of the client that waits")
            assert client.wait(1, 4_000) == 1  # else it is the replication that loses the record
        old.pause()
        try:
            await until(lambda: guarded.master() not in (None, old))
        finally:
            old.resume()
        change = evolve(kept, generation=1, body=b"after")
        await put_in_the_end(store, change)
    with guarded.master().client() as client:
        assert b"after" in client.hvals(_scripts.keys_of("frozen", SCOPE)[2])


@pytest.fixture
def followed(tmp_path):
    """A master that takes no write without its replica, and that."""
    (tmp_path / "replica").mkdir()
    with own_server(tmp_path, "--min-replicas-to-write", "1") as master:
        follow = ("--replicaof", "127.0.0.1", str(master.port), "--repl-diskless-sync-delay", "0")
        with own_server(tmp_path / "replica", *follow) as replica, master.client() as client:
            end = time.monotonic() + 60
            while not client.info("replication")["min_slaves_good_slaves"]:
                assert time.monotonic() < end
                time.sleep(0.05)
            yield master, replica


async def test_what_a_replica_has_not_is_not_written(followed):
    """A server that asks for replicas is waited for until they have it, and said so if not."""
    master, replica = followed
    async with RedisStore(master.url, timeout=1) as store:
        kept = await put_in_the_end(store, record(due_at=PAST))
        replica.pause()
        attempts = [
            store.put(evolve(kept, body=b"2")),
            store.remove(SCOPE, "1001"),
            store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60),
            store.lease(SCOPE, "1001", holder="a", seconds=60),
        ]
        for attempt in attempts:
            with pytest.raises(StoreError, match="has not come to the replicas") as caught:
                await attempt
            assert caught.value.retryable
        replica.resume()
        again = await put_in_the_end(store, record(due_at=PAST))  # it was removed there
        # neither the claim nor the lease that nobody was told of is in the way
        assert await store.claim(SCOPE, due_by=PAST, limit=1, holder="b", seconds=60) == [again]


async def test_a_user_who_may_not_wait_for_replicas_is_told(followed):
    """When the store is looked at, and not when a master is gone."""
    master, _ = followed
    with master.client() as client:
        client.acl_setuser(
            "app", enabled=True, passwords=["+pw"], categories=["+@all"], commands=["-wait"],
            keys=["*"],
        )  # fmt: skip
    async with RedisStore(master.url.replace("//", "//app:pw@")) as store:
        with pytest.raises(StoreError, match="EVALSHA, EVAL and WAIT"):
            await store.check()


async def test_nothing_is_begun_where_no_sentinel_answers(tmp_path):
    """Whether the master is one is not known; the words name the Sentinels."""
    store = RedisStore("redis+sentinel://127.0.0.1:1,127.0.0.1:2/mine")
    with pytest.raises(StoreError, match="no Sentinel answers") as caught:
        await store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60)
    assert caught.value.retryable
    await store.aclose()


class SaidBySentinel:
    """Answers as a Sentinel would that knows so much."""

    def __init__(self, epoch, port, *replicas):
        self._epoch, self._port, self._replicas = epoch, port, replicas

    async def sentinel_master(self, _):
        return {"config-epoch": self._epoch, "num-slaves": 3}

    async def sentinel_get_master_addr_by_name(self, _):
        return (b"10.0.0.1", self._port) if self._port else None

    async def sentinel_slaves(self, _):
        if self._replicas == ("hidden",):
            raise redis.exceptions.NoPermissionError
        return [
            {"master-link-status": link, **{f"is_{flag}": True for flag in flags}}
            for link, *flags in self._replicas
        ]


@pytest.mark.parametrize(
    ("sentinels", "port", "replicas"),
    [
        # one that has not heard of the new master yet
        ([SaidBySentinel(1, 1, ["ok"]), SaidBySentinel(2, 2), SaidBySentinel(1, 1)], 2, 0),
        ([SaidBySentinel(1, 1), SaidBySentinel(1, 1, ["ok"], ["ok"])], 1, 2),
        # one that becomes the master is cut off from the Sentinels for a moment
        ([SaidBySentinel(1, 1, ["ok", "disconnected"])], 1, 1),
        ([SaidBySentinel(1, 1, ["ok", "sdown"], ["ok", "odown"], ["err"], ["ok"])], 1, 1),
        ([SaidBySentinel(1, 1, "hidden")], 1, 3),
        ([SaidBySentinel(9, None), object(), SaidBySentinel(1, 1)], 1, 0),
    ],
)
async def test_the_newest_configuration_tells_who_must_have_a_write(sentinels, port, replicas):
    """All replicas that may be the next master, and no more: others would stop every write."""
    answer = await newest_answer(sentinels, "mine")
    assert (answer.host, answer.port, answer.replicas) == ("10.0.0.1", port, replicas)


def nodes_of(slot, servers):
    """Who serves a slot, and somebody who does not."""
    with servers[0].client() as client:
        ranges = client.execute_command("CLUSTER SLOTS")
    (port,) = [one[2][1] for one in ranges if one[0] <= slot <= one[1]]
    (source,) = [one for one in servers if one.port == port]
    return source, next(one for one in servers if one is not source)


async def use(store):
    """Everything that a store does with a record."""
    due = await store.put(evolve(record(due_at=PAST), revision=0))
    assert await store.get(SCOPE, "1001") == due
    assert await store.next_due(SCOPE) is not None
    assert await store.claim(SCOPE, due_by=PAST, limit=9, holder="a", seconds=60) == [due]
    assert await store.lease(SCOPE, "1001", holder="a", seconds=0) == due
    await store.check(SCOPE)
    assert [one async for one in store.records(SCOPE)] == [due]
    assert await store.remove(SCOPE, "1001")


async def test_a_slot_that_is_to_be_moved_goes_on(tmp_path):
    """Before its keys move, and when they have; none of them is missing at any time."""
    with own_cluster(tmp_path) as servers:
        keys = _scripts.keys_of("iop", SCOPE)
        slot = redis.crc.key_slot(keys[0])
        source, target = nodes_of(slot, servers)
        async with RedisStore(f"redis+cluster://127.0.0.1:{servers[0].port}") as store:
            await use(store)
            with source.client() as here, target.client() as there:
                assert here.exists(*keys) == len(keys)
                ids = [one.execute_command("CLUSTER MYID").decode() for one in (here, there)]
                there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
                here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
                await use(store)
                here.migrate("127.0.0.1", target.port, list(keys), 0, 5000)
                await use(store)
                for one in (target, source, *servers):  # or gossip may undo it
                    with one.client() as client:
                        client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
                await use(store)
                assert there.exists(*keys) == len(keys)
