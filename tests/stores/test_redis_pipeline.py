"""Commands of many tasks go to a Redis server together, and answers come back one by one."""

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from attrs import evolve
from network import Network
from redis_servers import own_prefix, own_server
from services import REDIS
from store_helpers import SCOPE, record

from iop_async import StaleRecord, StoreError
from iop_async.stores._redis import RedisStore, _pipeline, _scripts


@contextmanager
def network_before(port):
    with Network(port) as network:
        yield network, f"redis://127.0.0.1:{network.port}"


@pytest.fixture
async def counted():
    """A store, and the network that counts what it sends."""
    with own_prefix() as prefix, network_before(urlsplit(REDIS).port) as (network, url):
        async with RedisStore(f"{url}/9", prefix=prefix) as store:
            await store.put(record("first"))
            await sent_by(network, *(store.get(SCOPE, "first") for _ in range(4)))  # it connects
            yield store, network


async def sent_by(network, *work):
    before = network.sendings
    answers = await asyncio.gather(*work, return_exceptions=True)
    return network.sendings - before, answers


async def test_a_hundred_at_once_take_a_few_round_trips(counted):
    """Each gets its own answer, in the one event loop that they wait in."""
    store, network = counted
    records = [record(f"{n}", body=f"{n}".encode()) for n in range(100)]
    sent, written = await sent_by(network, *map(store.put, records))
    assert sent <= 6
    assert written == [evolve(one, revision=1) for one in records]
    work = [store.lease(SCOPE, f"{n}", holder="a", seconds=60) for n in range(100)]
    sent, leased = await sent_by(network, *work)
    assert sent <= 6
    assert leased == written
    sent, found = await sent_by(network, *(store.get(SCOPE, f"{n}") for n in range(100)))
    assert sent <= 6
    assert found == written


async def test_one_alone_takes_one_round_trip_each(counted):
    """As ever: it waits for nobody."""
    store, network = counted
    kept = await store.put(record())
    before = network.sendings
    for _ in range(5):
        kept = await store.put(kept)
    assert network.sendings - before == 5


async def test_what_is_refused_is_refused_alone(counted):
    """Those that travelled with it are written."""
    store, network = counted
    kept = [await store.put(record(f"{n}")) for n in range(40)]
    changes = [
        evolve(one, body=b"new", revision=9 if n % 3 == 0 else 1) for n, one in enumerate(kept)
    ]
    sent, answers = await sent_by(network, *map(store.put, changes))
    assert sent <= 6
    for n, answer in enumerate(answers):
        assert isinstance(answer, StaleRecord) if n % 3 == 0 else answer.revision == 2


async def test_a_script_that_the_server_has_forgotten_is_sent_again(tmp_path):
    """To a server that was restarted, say; by all that find it gone at once."""
    with own_server(tmp_path) as server, server.client() as client:
        async with RedisStore(server.url) as store:
            await store.put(record())
            client.script_flush()
            written = await asyncio.gather(*(store.put(record(f"{n}")) for n in range(50)))
    assert [one.revision for one in written] == [1] * 50


async def test_a_batch_is_bounded(counted, monkeypatch):
    """So that nobody waits for long behind the others."""
    store, _ = counted
    sizes = []
    exchange = _pipeline.Pipeline._exchange

    async def watched(self, batch):
        sizes.append(len(batch))
        return await exchange(self, batch)

    monkeypatch.setattr(_pipeline.Pipeline, "_exchange", watched)
    await asyncio.gather(*(store.put(record(f"{n}")) for n in range(300)))
    assert max(sizes) == _pipeline.BATCH_MAX


async def test_what_may_not_be_repeated_or_is_long_travels_alone(counted, monkeypatch):
    """A failure of others must not leave a lease that nobody knows of."""
    store, _ = counted
    joined = []
    send = _pipeline.Pipeline.send

    async def watched(self, command, options):
        joined.append(command[1])
        return await send(self, command, options)

    monkeypatch.setattr(_pipeline.Pipeline, "send", watched)
    await store.put(record(body=b"x" * 2**16))
    options = {"holder": "a", "seconds": 60}
    await store.claim(SCOPE, due_by=datetime.now(UTC), limit=1, **options)
    await store.lease(SCOPE, "1001", holder="a", seconds=0)
    await store.remove(SCOPE, "1001")
    await store.next_due(SCOPE)
    assert [one async for one in store.records(SCOPE)]
    assert joined == []
    await store.lease(SCOPE, "first", **options)
    assert joined == [_scripts.LEASE.sha]


@pytest.mark.parametrize("cut", ["reset", "refuse"])
async def test_a_connection_that_fails_fails_nobody_for_good(tmp_path, cut):
    """What was under way is repeated, and what was made already is not made twice."""
    with own_server(tmp_path) as server, network_before(server.port) as (network, url):
        async with RedisStore(url) as store:
            kept = [await store.put(record(f"{n}")) for n in range(60)]
            tasks = [asyncio.create_task(store.put(evolve(one, body=b"new"))) for one in kept]
            await asyncio.sleep(0.002)
            network.cut(cut)
            network.mend()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            for answer, one in zip(answers, kept, strict=True):
                found = await store.get(SCOPE, one.seller_id)
                assert found in (one, evolve(one, body=b"new", revision=2))
                assert found == answer or isinstance(answer, StoreError)


async def test_a_server_that_hangs_makes_everybody_an_error_in_time(tmp_path):
    """Also those who wait for their turn; and then the store works again."""
    with own_server(tmp_path) as server:
        async with RedisStore(server.url, timeout=0.2) as store:
            await store.put(record())
            server.pause()
            async with asyncio.timeout(5):
                work = (store.put(record(f"{n}")) for n in range(200))
                answers = await asyncio.gather(*work, return_exceptions=True)
            server.resume()
            assert all(isinstance(one, StoreError) and one.retryable for one in answers)
            assert (await store.put(record("after"))).revision == 1
            written = {one.seller_id async for one in store.records(SCOPE)}
            assert written >= {"1001", "after"}
