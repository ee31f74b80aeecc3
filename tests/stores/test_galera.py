"""A Galera cluster, both of whose nodes are written to: what is said is what was done."""

import asyncio
import time
from contextlib import suppress
from itertools import cycle
from uuid import uuid4

import pytest
from attrs import evolve
from galera_servers import own_galera
from sql_helpers import write_and_remove
from store_helpers import SCOPE, record

from iop_async import StaleRecord, StoreError
from iop_async.stores import SQLAlchemyStore
from iop_async.testing import StoreConformance

pytestmark = [pytest.mark.drill, pytest.mark.alone]


@pytest.fixture(scope="module")
def nodes():
    with own_galera() as both:
        yield both


@pytest.fixture
def prefix(nodes):
    made = f"t{uuid4().hex[:10]}_"

    async def create():
        store = SQLAlchemyStore(nodes[0].url, table_prefix=made)
        await store.create_tables()
        await store.aclose()

    asyncio.run(create())
    return made


class TestOnBothNodes(StoreConformance):
    """Every other store is connected to the other node."""

    backends = ("asyncio",)
    many = 200
    lease_seconds = 1.0

    @pytest.fixture
    def make_store(self, nodes, prefix):
        urls = cycle([node.url for node in nodes])
        return lambda: SQLAlchemyStore(next(urls), table_prefix=prefix)


@pytest.fixture
async def stores(nodes, prefix):
    """A store on each node."""
    made = [SQLAlchemyStore(node.url, table_prefix=prefix) for node in nodes]
    yield made
    for store in made:
        await store.aclose()


async def keep_writing(store, seller_ids, over):
    """Write the records of sellers as fast as may be; those that are gone are gone."""
    while not over.is_set():
        for seller_id in seller_ids:
            kept = await store.get(SCOPE, seller_id)
            if kept is not None:
                with suppress(StaleRecord):
                    await store.put(evolve(kept, body=uuid4().bytes))


async def beside_writers(stores, act):
    """The sellers for whom something was done, while writers of the other node are at them."""
    here, there = stores
    seller_ids = [f"{n}" for n in range(200)]
    for seller_id in seller_ids:
        await here.put(record(seller_id))
        assert await here.lease(SCOPE, seller_id, holder="a", seconds=600) is not None
    over = asyncio.Event()
    writers = [asyncio.create_task(keep_writing(there, seller_ids[n::4], over)) for n in range(4)]
    done = [seller_id for seller_id in seller_ids if await act(here, seller_id)]
    over.set()
    await asyncio.gather(*writers)
    return seller_ids, done


async def test_what_was_removed_beside_a_writer_is_gone(stores):
    """A COMMIT that lost to the other node is begun again, and not taken for done."""
    seller_ids, done = await beside_writers(stores, lambda store, one: store.remove(SCOPE, one))
    assert done == seller_ids
    assert [one async for one in stores[0].records(SCOPE)] == []
    assert [one async for one in stores[1].records(SCOPE)] == []


async def test_what_was_given_back_beside_a_writer_is_free(stores):
    """Also where its first try was undone."""
    seller_ids, done = await beside_writers(
        stores, lambda store, one: store.lease(SCOPE, one, holder="a", seconds=0)
    )
    assert done == seller_ids
    for seller_id in seller_ids:
        assert await stores[0].lease(SCOPE, seller_id, holder="b", seconds=60) is not None


@pytest.mark.parametrize("_", range(5))
async def test_new_sellers_of_both_nodes_are_above_those_that_were_removed(stores, _):
    """The locks of a node are its own: at its commit, the cluster tells who was late.

    Or before it: a seller that is removed on one node while the other moves it finds nothing then.
    """
    await write_and_remove(stores, 4, writers=12, rounds=10)
    kept = [[one async for one in store.records(SCOPE)] for store in stores]
    assert kept[0] == kept[1]


async def test_a_node_without_the_majority_says_so_and_is_left(nodes, stores):
    """A pool's own ping finds nothing wrong with it. The last test: the cluster is gone then."""
    first, second = nodes
    here = stores[1]
    await here.put(record())
    first.kill()
    until = time.monotonic() + 60
    while second.status("wsrep_cluster_status") == "Primary":
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    for attempt in (here.get(SCOPE, "1001"), here.remove(SCOPE, "1001")):
        with pytest.raises(StoreError, match="has lost the majority") as caught:
            await attempt
        assert caught.value.retryable
