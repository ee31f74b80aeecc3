"""What fails is a ``StoreError`` in time, what was there stays, and nothing secret is said."""

import asyncio
import logging
import subprocess
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime

import anyio
import pytest
import redis.asyncio
from attrs import evolve
from network import Network
from redis_servers import own_server
from services import free_port
from store_helpers import SCOPE, count_up, is_whole, record, whole

from iop_async import StoreError
from iop_async.stores._redis import RedisStore, _scripts

CANARY = "50000601c30canary3mSoB7701"
PAST = datetime(2026, 1, 1, tzinfo=UTC)


async def refusal(attempt):
    """What a method says when it fails, having shown nothing of the record or the password."""
    with anyio.fail_after(30), pytest.raises(StoreError) as caught:
        await attempt
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert CANARY not in shown.partition("iop_async/stores")[2]
    assert CANARY not in str(caught.value)
    return caught.value


def secret(seller="1001", **facts):
    return record(seller, body=CANARY.encode(), **facts)


def everything(store):
    yield store.put(secret(due_at=PAST))
    yield store.get(SCOPE, "1001")
    yield store.remove(SCOPE, "1001")
    yield store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60)
    yield store.lease(SCOPE, "1001", holder="a", seconds=60)
    yield store.lease(SCOPE, "1001", holder="a", seconds=0)
    yield store.next_due(SCOPE)
    yield anext(store.records(SCOPE))


async def test_a_server_that_is_not_there(tmp_path):
    """Every method says so, and none of them says the password."""
    for url in (f"redis://app:{CANARY}@127.0.0.1:{free_port()}/0",
                f"unix://app:{CANARY}@{tmp_path}/none.sock"):  # fmt: skip
        store = RedisStore(url)
        for attempt in everything(store):
            error = await refusal(attempt)
            assert "Look whether the server runs and can be reached" in str(error)
            assert error.retryable
        with pytest.raises(StoreError):
            async with RedisStore(url):
                pass
        await store.aclose()


async def test_a_server_that_hangs(tmp_path):
    """Is waited for no longer than was said; afterwards no answer reaches the wrong caller."""
    with own_server(tmp_path) as server:
        given = redis.asyncio.Redis(port=server.port, socket_timeout=None)
        async with (
            given,
            RedisStore(server.url, timeout=1.0) as ours,
            RedisStore(given, timeout=1.0) as theirs,
        ):
            for n in range(20):
                await ours.put(whole(f"{n}", 1))
            server.pause()
            attempts = [refusal(one) for store in (ours, theirs) for one in everything(store)]
            for error in await asyncio.gather(*attempts):
                assert "did not answer in time" in str(error)
                assert error.retryable
            server.resume()
            kept = [await ours.get(SCOPE, f"{n}") for n in range(20)]
            assert kept == [await theirs.get(SCOPE, f"{n}") for n in range(20)]
            assert [(one.seller_id, is_whole(one)) for one in kept] == [
                (f"{n}", True) for n in range(20)
            ]


async def test_a_server_that_is_restarted(tmp_path):
    """While it is away there are errors, and then the store works again by itself."""
    with own_server(tmp_path, "--appendonly", "yes") as server:
        async with RedisStore(server.url) as store:
            kept = await store.put(record(due_at=PAST))
            server.stop()
            error = await refusal(store.get(SCOPE, "1001"))
            assert "the connection failed" in str(error)
            server.start()
            # the scripts are gone from the server as well
            assert await store.get(SCOPE, "1001") == kept
            assert await store.put(evolve(kept, body=b"new"))
            server.stop()
            server.start()
            for attempt in everything(store):
                # some connection may have gone unnoticed; a claim is not made twice
                with suppress(StoreError, StopAsyncIteration):
                    await attempt
            assert await store.next_due(SCOPE) is None


async def test_connections_that_were_cut_are_made_again_unnoticed(tmp_path):
    """A firewall or a failover has cut those that were idle."""
    with own_server(tmp_path) as server, server.client() as client:
        async with RedisStore(server.url) as store:
            async with anyio.create_task_group() as tasks:
                for n in range(50):
                    tasks.start_soon(store.put, record(f"{n}"))
            for n in range(50, 70):
                client.client_kill_filter(_type="normal", skipme=True)
                await store.put(record(f"{n}"))
            assert len([one async for one in store.records(SCOPE)]) == 70


class LosesAnswers(redis.asyncio.Redis):
    """Has a command done, and says that the connection broke."""

    lost = 0

    async def execute_command(self, *args, **options):
        answer = await super().execute_command(*args, **options)
        if self.lost:
            self.lost -= 1
            raise redis.exceptions.ConnectionError
        return answer


async def test_a_write_whose_answer_is_lost_is_made_once(tmp_path):
    """It is repeated, and its repetition does not count, nor end a lease that came after it."""
    with own_server(tmp_path) as server:
        async with LosesAnswers(port=server.port) as client:
            store = RedisStore(client)
            kept = await store.put(record(due_at=PAST))
            await store.lease(SCOPE, "1001", holder="a", seconds=60)
            client.lost = 1
            written = await store.put(evolve(kept, body=b"new"), release="a")
            assert written.revision == kept.revision + 1
            assert await store.lease(SCOPE, "1001", holder="b", seconds=60) == written
            client.lost = 1
            assert await store.lease(SCOPE, "1001", holder="b", seconds=60) == written
            client.lost = 2
            error = await refusal(store.put(evolve(written, body=CANARY.encode()), release="b"))
            assert "whether the last command was done is not known" in str(error)


async def test_what_must_not_be_done_twice_is_not(tmp_path):
    """A grant that came after a removal is not removed, and a claim does not claim twice."""
    with own_server(tmp_path) as server:
        async with LosesAnswers(port=server.port) as client:
            store = RedisStore(client)
            await store.put(record("1", due_at=PAST))
            await store.put(record("2", due_at=PAST))
            client.lost = 1
            await refusal(store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60))
            found = await store.claim(SCOPE, due_by=PAST, limit=9, holder="b", seconds=60)
            assert len(found) == 1
            for attempt in (
                store.remove(SCOPE, "1"),
                store.lease(SCOPE, "2", holder="a", seconds=0),
            ):
                client.lost = 1
                await refusal(attempt)
                assert not client.lost


async def test_a_full_memory_refuses_writes_whole(tmp_path):
    """Acknowledged ones are kept, removing makes room, and then it works again."""
    with own_server(tmp_path, "--maxmemory", "3mb") as server:
        async with RedisStore(server.url) as store:
            kept, error = [], None
            while error is None:
                try:
                    one = record(f"{len(kept)}", body=CANARY.encode() * 2_000, due_at=PAST)
                    kept.append(await store.put(one))
                except StoreError as refused:
                    error = refused
            assert "memory is full (maxmemory), so nothing was written" in str(error)
            assert {one.seller_id for one in kept} == {
                one.seller_id async for one in store.records(SCOPE)
            }
            assert await store.get(SCOPE, "0") == kept[0]
            for one in kept[1::2]:
                assert await store.remove(SCOPE, one.seller_id)
            with server.client() as client:
                client.config_set("maxmemory", "100mb")
            await store.put(record("new", due_at=PAST))
            found = await store.claim(SCOPE, due_by=PAST, limit=99, holder="a", seconds=60)
            assert {one.seller_id for one in found} == {
                "new",
                *(one.seller_id for one in kept[::2]),
            }


async def test_a_replica_is_read_only(tmp_path):
    """It is told from a master, and nothing is written there."""
    (tmp_path / "replica").mkdir()
    with own_server(tmp_path) as master:
        options = ("--replicaof", "127.0.0.1", str(master.port))
        with own_server(tmp_path / "replica", *options) as replica:
            async with RedisStore(replica.url) as store:
                error = await refusal(store.put(secret()))
                assert "read-only replica, so nothing was changed" in str(error)
                assert error.retryable  # a failover may make it the master
                with replica.client() as client:
                    client.replicaof("NO", "ONE")
                assert await store.put(record())


def fail_over(master, replica, network):
    """The replica is the master now, and new connections go there; nobody is cut off."""
    with master.client() as old, replica.client() as new:
        new.replicaof("NO", "ONE")
        old.replicaof("127.0.0.1", replica.port)
    network.lead_to(replica.port)


@pytest.mark.parametrize("whose", ["the store's client", "the user's client"])
async def test_a_failover_behind_one_address_is_followed(tmp_path, whose):
    """By what may not be repeated too, and by those that only read: no connection stays behind."""
    (tmp_path / "second").mkdir()
    at_once = ("--repl-diskless-sync-delay", "0")
    with (
        own_server(tmp_path, *at_once) as master,
        own_server(tmp_path / "second", *at_once) as replica,
        Network(master.port) as network,
    ):
        with replica.client() as client:
            client.replicaof("127.0.0.1", master.port)
        url = f"redis://127.0.0.1:{network.port}/0"
        client = redis.asyncio.Redis.from_url(url)
        async with client, RedisStore(url if "store" in whose else client) as store:
            await asyncio.gather(*(store.put(record(f"{n}", due_at=PAST)) for n in range(40)))
            for old, new in ((master, replica), (replica, master)):
                with old.client() as eye:
                    eye.set("last", 1)
                    assert eye.wait(1, 10_000) == 1
                    fail_over(old, new, network)
                    await asyncio.gather(
                        *(store.remove(SCOPE, f"{n}") for n in range(20)),
                        *(store.get(SCOPE, f"{n}") for n in range(20, 40)),
                    )
                    await store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60)
                    assert len(eye.client_list(_type="normal")) == 1


@pytest.mark.parametrize("user", ["app:wrong@", ""])
async def test_a_password_that_is_wrong_or_missing(tmp_path, user):
    """Is not shown, nor is the right one."""
    with own_server(tmp_path, "--requirepass", CANARY) as server:
        store = RedisStore(server.url.replace("//", f"//{user}"))
        error = await refusal(store.put(secret()))
        assert "refuses the user name or password" in str(error)
        assert not error.retryable
        await store.aclose()
        async with RedisStore(server.url.replace("//", f"//:{CANARY}@")) as store:
            assert CANARY not in f"{store!r}{store._runner.name}"
            await store.put(record())


@pytest.mark.parametrize("rule", [["~other*", "+@all"], ["~*", "+@all", "-evalsha"]])
async def test_a_user_that_may_not_do_it(tmp_path, rule):
    """Is told what it needs."""
    options = ("--user", "app", "on", f">{CANARY}", *rule)
    with own_server(tmp_path, *options) as server:
        store = RedisStore(server.url.replace("//", f"//app:{CANARY}@"))
        error = await refusal(store.put(secret()))
        assert "It needs the commands EVALSHA, EVAL and WAIT" in str(error)
        assert not error.retryable
        await store.aclose()


async def test_keys_that_hold_something_else(tmp_path):
    """Of another program, of a later release, or with parts that were evicted."""
    sellers, facts, *_, counters = _scripts.keys_of("iop", SCOPE)
    with own_server(tmp_path) as server, server.client() as client:
        async with RedisStore(server.url) as store:
            client.set(sellers, "mine")
            assert "hold something else" in str(await refusal(store.put(secret())))
            client.delete(sellers)
            kept = await store.put(record())
            client.hset(counters, "layout", "2")
            for attempt in everything(store):
                assert "another release of iop-async" in str(await refusal(attempt))
            client.hset(counters, "layout", "1")
            assert await store.get(SCOPE, "1001") == kept
            client.delete(facts)
            error = await refusal(store.put(secret()))
            assert "seller '1001' of '123456@api.taobao.global' cannot be read" in str(error)
            assert not error.retryable


@pytest.mark.parametrize("name", ["facts", "bodies"])
async def test_a_record_of_which_a_part_is_gone(tmp_path, name):
    """Is shown to nobody, and leased to nobody; the others are."""
    keys = dict(zip(_scripts._KEYS, _scripts.keys_of("iop", SCOPE), strict=True))
    with own_server(tmp_path) as server, server.client() as client:
        async with RedisStore(server.url) as store:
            for seller in ("1001", "2002"):
                await store.put(secret(seller, due_at=PAST))
            client.hdel(keys[name], 1)
            for attempt in (
                store.get(SCOPE, "1001"),
                store.lease(SCOPE, "1001", holder="a", seconds=60),
                store.put(secret(revision=7)),
            ):
                error = await refusal(attempt)
                assert "the record of seller '1001'" in str(error)
                assert "cannot be read" in str(error)
                assert not error.retryable
            assert client.hkeys(keys["holders"]) == []
            (claimed,) = await store.claim(SCOPE, due_by=PAST, limit=1, holder="a", seconds=60)
            assert (claimed.seller_id, claimed.body) == ("2002", CANARY.encode())


async def test_a_server_that_cannot_save_refuses_writes(tmp_path):
    """And one that is alone where it should have replicas."""
    with own_server(tmp_path, "--min-replicas-to-write", "1") as server:
        async with RedisStore(server.url) as store:
            assert "fewer replicas are connected" in str(await refusal(store.put(secret())))
    options = ("--save", "9999 1", "--dbfilename", "a-directory")
    with own_server(tmp_path, *options) as server, server.client() as client:
        async with RedisStore(server.url) as store:
            kept = await store.put(record())
            (tmp_path / "a-directory").mkdir()
            client.bgsave()
            with anyio.fail_after(30):
                while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
                    await asyncio.sleep(0.02)
            assert "cannot save its data" in str(await refusal(store.put(secret("2"))))
            assert await store.get(SCOPE, "1001") == kept


async def test_nothing_secret_is_logged(tmp_path, caplog):
    """By redis-py and asyncio neither, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    with own_server(tmp_path, "--requirepass", CANARY) as server:
        url = server.url.replace("//", f"//:{CANARY}@")
        async with RedisStore(url, timeout=1.0) as store:
            kept = await store.put(secret())
            server.pause()
            for body in (b"1", b"2"):
                with anyio.move_on_after(0.01):
                    await store.put(evolve(kept, body=CANARY.encode() + body))
            await refusal(store.get(SCOPE, "1001"))
            server.resume()
            server.kill()
            await refusal(store.put(secret("2")))
    assert CANARY not in caplog.text


async def kill_while_writing(directory, times):
    acknowledged, written = {}, set()
    with own_server(directory, "--appendonly", "yes", "--appendfsync", "always") as server:
        for n in range(times):
            async with RedisStore(server.url) as store:
                assert all([is_whole(one) async for one in store.records(SCOPE)])
                for seller, generation in acknowledged.items():
                    assert (await store.get(SCOPE, seller)).generation >= generation

                written.clear()

                def said(line):
                    seller, generation = line.decode().split()
                    acknowledged[seller] = int(generation)
                    written.add(seller)

                async def write(seller):
                    with suppress(StoreError):
                        await count_up(store, seller, 10**9, said)

                async with anyio.create_task_group() as tasks:
                    for seller in range(8):
                        tasks.start_soon(write, f"{seller}")
                    with anyio.fail_after(30):
                        while len(written) < 8:
                            await asyncio.sleep(0.005)
                    await asyncio.sleep(0.05 + 0.01 * n)
                    server.kill()
            server.start()


async def test_a_killed_server_has_every_acknowledged_write(tmp_path):
    """With ``appendfsync always``, wherever in a write it died."""
    await kill_while_writing(tmp_path, 3)


@pytest.mark.drill
async def test_a_server_killed_many_times_has_every_acknowledged_write(tmp_path):
    """Thirty times over."""
    await kill_while_writing(tmp_path, 30)


def test_without_redis_it_says_what_to_install():
    """An import error deeper down would leave one guessing; the other stores need no redis."""
    script = (
        "import sys; sys.modules['redis'] = None\n"
        "import iop_async.stores\n"
        "import iop_async.stores._redis"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith("RedisStore needs redis: pip install 'iop-async[redis]'")
