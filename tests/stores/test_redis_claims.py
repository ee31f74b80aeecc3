"""Claims on a Redis server cost the same whatever is kept, and are exact all the same."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
import redis
import redis.asyncio
from attrs import evolve
from redis_servers import own_prefix, own_server
from services import REDIS
from store_helpers import SCOPE, record

from iop_async import StoreError
from iop_async.stores._redis import RedisStore, _claims, _scripts

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
LATE = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Beyond the whole numbers that a double holds exactly, in microseconds."""


@pytest.fixture
async def store():
    with own_prefix() as prefix:
        async with RedisStore(REDIS, prefix=prefix) as opened:
            yield opened


async def claim(store, holder="a", **options):
    facts = {"due_by": START, "limit": 7, "seconds": 600, **options}
    return [one.seller_id for one in await store.claim(SCOPE, holder=holder, **facts)]


def calls(client):
    """How many commands of each kind the scripts have run."""
    stats = client.info("commandstats")
    kinds = ("cmdstat_h", "cmdstat_z")
    return {name: facts["calls"] for name, facts in stats.items() if name.startswith(kinds)}


async def cost_of_a_claim(store, client):
    client.config_resetstat()
    assert len(await claim(store)) == 7
    assert await store.next_due(SCOPE) is not None
    return calls(client)


async def test_a_claim_costs_the_same_among_a_few_and_among_many(tmp_path):
    """Neither the records that are not due, nor those that are leased, are looked at."""
    with own_server(tmp_path) as server, server.client() as client:
        async with RedisStore(server.url) as store:
            for n in range(7):
                await store.put(record(f"{n}", due_at=START))
            await store.put(record("later", due_at=START + MINUTE))
            few = await cost_of_a_claim(store, client)
            for n in range(7, 1_000):
                # nothing that is not due may be walked past, although it dies first
                await store.put(record(f"{n}", due_at=START + MINUTE, dies_at=START))
            for n in range(7):
                await store.put(record(f"due {n}", due_at=START))
            many = await cost_of_a_claim(store, client)
        assert many == few
        assert sum(few.values()) < 150


async def test_a_claim_costs_the_same_however_many_are_due_or_leased(tmp_path):
    """The first one too: no more is made ready than is chosen from, and no lease is looked at."""
    with own_server(tmp_path) as server, server.client() as client:
        async with RedisStore(server.url) as store:
            await put_all(store, "a", 600, due_at=START)
            first, second = [await cost_of_a_claim(store, client) for _ in range(2)]
            assert sum(second.values()) < 400
            await put_all(store, "b", 2_000, due_at=START - MINUTE)
            assert len(await claim(store, limit=2_000)) == 2_000
            await claim(store)
            assert await cost_of_a_claim(store, client) == second
            client.flushdb()
            await put_all(store, "c", 3_000, due_at=START)
            assert await cost_of_a_claim(store, client) == first


async def put_all(store, name, count, **facts):
    records = [record(f"{name} {n}", dies_at=START + n * MINUTE, **facts) for n in range(count)]
    await asyncio.gather(*map(store.put, records))


async def test_the_earliest_expiry_of_those_that_fell_due_first_is_claimed(store, monkeypatch):
    """Among as many as a claim looks at; in that order, however many steps it took."""
    monkeypatch.setattr(_claims, "CLAIM_WINDOW", 4)
    monkeypatch.setattr(_claims, "BATCH", 3)
    for n in range(8):
        await store.put(record(f"{n}", due_at=START - (9 - n) * MINUTE, dies_at=START - n * MINUTE))
    assert await claim(store, limit=2) == ["3", "2"]
    assert await claim(store, limit=9) == ["7", "6", "5", "4", "1", "0"]


async def test_what_an_older_release_made_ready_is_claimed(store, monkeypatch):
    """That made all that was due ready at once, which is no more than this one can choose from."""
    for n in range(8):
        await store.put(record(f"{n}", due_at=START, dies_at=START - n * MINUTE))
    assert await claim(store, limit=1) == ["7"]  # with as large a window
    monkeypatch.setattr(_claims, "CLAIM_WINDOW", 2)
    assert await claim(store, limit=2) == ["6", "5"]
    assert await claim(store, limit=9) == ["4", "3", "2", "1", "0"]


async def test_keys_on_one_server_hold_records_and_nothing_else(store):
    """Hosts of release 0.1, which know of no anchors, may go on working on them."""
    kept = await store.put(record(due_at=START))
    await claim(store)
    await store.remove(SCOPE, kept.seller_id)
    keys = _scripts.keys_of(store._prefix, SCOPE)
    async with redis.asyncio.Redis.from_url(REDIS) as client:
        assert [key for key in keys if await client.exists(key)] == [keys[-1]]


def indexes(prefix):
    keys = dict(zip(_scripts._KEYS, _scripts.keys_of(prefix, SCOPE), strict=True))
    return keys["waiting"], keys["order"]


async def test_of_those_that_fell_due_in_one_minute_the_earliest_expiry_is_claimed(monkeypatch):
    """What is not yet due is passed by, and what is due beyond the window is not kept from it."""
    monkeypatch.setattr(_claims, "CLAIM_WINDOW", 4)
    monkeypatch.setattr(_claims, "BATCH", 3)
    with own_prefix() as prefix:
        async with RedisStore(REDIS, prefix=prefix) as store:
            for n in range(20):
                due_at = START + (n * 7 % 20) * SECOND
                await store.put(record(f"{n}", due_at=due_at, dies_at=START - n * MINUTE))
            by = START + 9 * SECOND
            due, later = [], []
            for n in reversed(range(20)):
                (due if n * 7 % 20 <= 9 else later).append(f"{n}")
            found = []
            while some := await claim(store, due_by=by, limit=2):
                found += some
            assert sorted(found) == sorted(due)
            assert await claim(store, due_by=START + MINUTE, limit=3) == later[:3]


async def test_what_an_older_release_wrote_is_claimed_in_order(monkeypatch):
    """That knows nothing of the minutes: it leaves them out, and as they were."""
    monkeypatch.setattr(_claims, "CLAIM_WINDOW", 4)
    with own_prefix() as prefix, redis.Redis.from_url(REDIS) as client:
        waiting, order = indexes(prefix)
        async with RedisStore(REDIS, prefix=prefix) as store:
            for n in range(9):
                await store.put(record(f"{n}", due_at=START, dies_at=START - n * MINUTE))
            ids = client.zrangebyscore(waiting, "(-inf", "+inf")
            client.zrem(order, *ids[3:])
            client.zadd(order, {b"gone": 5, ids[0]: 2**53 - 1, ids[1]: 7})
            for batch in (["8", "7", "6"], ["5", "4", "3"], ["2", "1", "0"], []):
                assert await claim(store, limit=3) == batch
            assert not client.zrangebyscore(order, "(-inf", "+inf")
            await store.put(record("later", due_at=START + 9 * MINUTE))
            (place,) = client.zrangebyscore(order, "(-inf", "+inf", withscores=True)
            client.zadd(order, {place[0]: 5})
            assert await claim(store) == []
            assert client.zrangebyscore(order, "(-inf", "+inf", withscores=True) == [place]


@pytest.mark.parametrize("batch", [250, 3, 1])
async def test_a_claim_in_small_steps_is_the_same(store, monkeypatch, batch):
    """Earliest death first, whatever the server looks at in one step."""
    monkeypatch.setattr(_claims, "BATCH", batch)
    chance = random.Random(3)
    deaths = {f"{n}": START + chance.randrange(10**6) * MINUTE / 60 for n in range(100)}
    for seller, dies_at in deaths.items():
        due_at = START + chance.choice((-1, 1)) * MINUTE
        await store.put(record(seller, due_at=due_at, dies_at=dies_at))
    due = [one async for one in store.records(SCOPE) if one.due_at < START]
    for one in due[::5]:
        await store.lease(SCOPE, one.seller_id, holder="other", seconds=600)
    free = {one.seller_id for one in due if one not in due[::5]}
    found = []
    while some := await claim(store):
        assert len(some) <= 7
        found += some
    assert found == sorted(free, key=deaths.__getitem__)


async def test_leases_that_ended_are_found_again_in_small_steps(store, monkeypatch):
    """A host that died had claimed more than one step looks at."""
    monkeypatch.setattr(_claims, "BATCH", 3)
    for n in range(20):
        await store.put(record(f"{n}", due_at=START, dies_at=START + n * MINUTE))
    assert len(await claim(store, "dead", limit=99, seconds=0.001)) == 20
    found = []
    while len(found) < 20:  # the leases end, soon
        found += await claim(store, "b", limit=4)
    assert sorted(found) == sorted(f"{n}" for n in range(20))
    assert await claim(store, "c") == []


async def test_claims_by_clocks_that_differ(store):
    """A host that looks further ahead makes nobody claim, or report, what is not due."""
    for n in range(1, 6):
        await store.put(record(f"{n}", due_at=START + n * MINUTE, dies_at=START + (9 - n) * MINUTE))
    assert await claim(store, due_by=START + 9 * MINUTE, limit=1) == ["5"]
    assert await store.next_due(SCOPE) == START + MINUTE
    assert await claim(store, due_by=START) == []
    assert await store.next_due(SCOPE) == START + MINUTE
    assert await claim(store, due_by=START + 2 * MINUTE) == ["2", "1"]
    assert await store.next_due(SCOPE) == START + 3 * MINUTE
    later = await store.get(SCOPE, "3")
    await store.put(evolve(later, due_at=START + 7 * MINUTE))
    assert await store.next_due(SCOPE) == START + 4 * MINUTE
    assert await claim(store, due_by=START + 9 * MINUTE) == ["4", "3"]


async def test_what_was_found_due_and_then_put_off_is_not_claimed(store):
    """Nor what was removed, or lost its due time."""
    kept = [await store.put(record(f"{n}", due_at=START)) for n in range(4)]
    assert len(await claim(store, limit=1)) == 1
    await store.put(evolve(kept[1], due_at=START + MINUTE))
    await store.put(evolve(kept[2], due_at=None))
    await store.remove(SCOPE, "3")
    assert await claim(store) == []
    assert await store.next_due(SCOPE) == START + MINUTE


async def test_times_are_exact_to_the_microsecond(store):
    """The ones that a double cannot tell apart too, as far as they can be seen."""
    tick = timedelta(microseconds=1)
    for due_at in (START, datetime.now(UTC), datetime(2200, 1, 1, tzinfo=UTC)):
        kept = await store.put(record(due_at=due_at, dies_at=LATE))
        assert await store.next_due(SCOPE) == due_at
        assert await claim(store, due_by=due_at - tick) == []
        assert await claim(store, due_by=due_at) == ["1001"]
        await store.lease(SCOPE, "1001", holder="a", seconds=0)
        await store.remove(SCOPE, "1001")
    for due_at in (LATE, datetime(1, 1, 1, tzinfo=UTC)):
        kept = await store.put(record(due_at=due_at, dies_at=due_at, generation=2**52))
        assert await store.get(SCOPE, "1001") == kept
        assert await store.next_due(SCOPE) == due_at
        assert await claim(store, due_by=due_at) == ["1001"]
        await store.remove(SCOPE, "1001")


async def test_a_revision_of_any_size_is_compared_exactly(store):
    """One that a double would take for another is refused."""
    kept = await store.put(record())
    for revision in (2**53, 2**53 + 1, 2**63 - 1):
        with pytest.raises(StoreError, match=f"this write was made for revision {revision}"):
            await store.put(evolve(kept, revision=revision))


async def test_a_record_of_thousands_of_sellers_is_one_like_any_other(store):
    """It loses sellers to another, and is removed: by scripts whose time grows with them only."""
    names = [f"{n}" for n in range(8_000)]
    await store.put(record(*names))
    async with asyncio.timeout(20):
        await store.put(record(*names[1:]))
        assert (await store.get(SCOPE, "0")).seller_ids == ("0",)
        assert await store.remove(SCOPE, "77")
        assert await store.get(SCOPE, "7777") is None
        assert await store.remove(SCOPE, "0")


async def test_prefixes_and_scopes_never_share_a_key():
    """However they are cut, and whatever they hold."""
    pairs = [("a", "b:c"), ("a:b", "c"), ("a", "b%3Ac"), ("a", "{b"), ("a{", "b"), ("a", "b}"),
             ("店", "铺"), ("a", ""), ("", "a"), ("a:", "")]  # fmt: skip
    with own_prefix() as mine:
        stores = [RedisStore(REDIS, prefix=f"{mine}:{prefix}") for prefix, _ in pairs]
        for store, (prefix, scope) in zip(stores, pairs, strict=True):
            await store.put(record(scope=scope, body=prefix.encode()))
        for store, (prefix, scope) in zip(stores, pairs, strict=True):
            assert [one.body async for one in store.records(scope)] == [prefix.encode()]
            await store.aclose()
