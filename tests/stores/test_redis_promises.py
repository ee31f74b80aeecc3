"""A Redis Cluster, and clients of all sorts, keep the promises of every store."""

from datetime import UTC, datetime
from typing import ClassVar

import pytest
import redis.asyncio
import valkey.asyncio
from redis_servers import own_cluster, own_prefix
from services import REDIS
from store_helpers import record

from iop_async import StoreError
from iop_async.stores._redis import RedisStore
from iop_async.testing import StoreConformance

PAST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def prefix():
    with own_prefix() as mine:
        yield mine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with own_cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


class OnAsyncio(StoreConformance):
    backends = ("asyncio",)


class WithClient(OnAsyncio):
    """The client is the user's, who closes it."""

    kind = redis.asyncio.Redis
    options: ClassVar[dict] = {}

    @pytest.fixture
    def make_store(self, prefix):
        return lambda: OnItsClient(self.kind.from_url(REDIS, **self.options), prefix)


class OnItsClient(RedisStore):
    def __init__(self, client, prefix):
        super().__init__(client, prefix=prefix)
        self._client = client

    async def aclose(self):
        await super().aclose()
        await self._client.aclose()


class TestOnAClientThatDecodes(WithClient):
    """Bodies are bytes, whatever the client makes of other answers."""

    options: ClassVar = {"decode_responses": True, "protocol": 3}
    many = 200


class TestOnAClientOfTheOldProtocol(WithClient):
    options: ClassVar = {"protocol": 2, "encoding": "latin-1"}
    many = 200


class TestOnAClientOfValkey(WithClient):
    """A fork, whose classes are no kin of those of redis-py."""

    kind = valkey.asyncio.Valkey
    many = 200


@pytest.mark.drill
class TestRedisCluster(OnAsyncio):
    """Everything of a scope is on one node, and different scopes on different ones."""

    many = 200

    @pytest.fixture
    def make_store(self, cluster):
        for server in cluster:
            server.client().flushall()
        return self.maker(cluster[0].port)

    def maker(self, port):
        return lambda: RedisStore(f"redis+cluster://127.0.0.1:{port}")


@pytest.mark.drill
class TestRedisClusterOnAClient(TestRedisCluster):
    def maker(self, port):
        return lambda: OnItsClient(redis.asyncio.RedisCluster("127.0.0.1", port), "iop")


@pytest.mark.drill
class TestRedisClusterOnAClientOfValkey(TestRedisCluster):
    def maker(self, port):
        return lambda: OnItsClient(valkey.asyncio.ValkeyCluster("127.0.0.1", port), "iop")


async def test_a_cluster_spreads_scopes_and_serves_them_all(cluster):
    """Scopes with braces and unicode too; a client for single servers is told what it needs."""
    scopes = [*(f"app{n}@platform" for n in range(20)), "{a}b", "}{", "店铺", ""]
    client = redis.asyncio.RedisCluster("127.0.0.1", cluster[0].port)
    async with client, RedisStore(client) as store:
        for scope in scopes:
            written = await store.put(record(scope=scope, due_at=PAST))
            claimed = await store.claim(scope, due_by=PAST, limit=9, holder="a", seconds=60)
            assert claimed == [written]
        for scope in scopes:
            assert [one.scope async for one in store.records(scope)] == [scope]
    assert all(server.client().dbsize() > 0 for server in cluster)
    alone = RedisStore(cluster[0].url)
    said = [await failure(alone.get(scope, "1")) for scope in scopes]
    assert any("give the store a redis.asyncio.RedisCluster" in one for one in said)
    await alone.aclose()


async def failure(attempt):
    try:
        await attempt
    except StoreError as error:
        return str(error)
    return ""
