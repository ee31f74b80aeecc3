"""A lease that ends under a refresh, and one that must not: who presents what, and who does not."""

from contextlib import asynccontextmanager

import anyio
from tokens_hands import Between, WatchedStore, failing
from tokens_world import either_loop, eventually

LEASE = 0.3


class LeasedOnce(WatchedStore):
    """A store that lends each seller to its holder, and lengthens nothing."""

    def __init__(self, store):
        super().__init__(store)
        self._lent = set()

    async def lease(self, scope, seller, *, holder, seconds):
        if seconds and seller in self._lent:
            return None
        self._lent.add(seller)
        return await self._store.lease(scope, seller, holder=holder, seconds=seconds)


@asynccontextmanager
async def held():
    """A transport that keeps answers back until ``let_go`` is set; ``asked`` counts them."""

    async def answer(go_on):
        transport.asked += 1
        answered = await go_on()
        await transport.let_go.wait()
        return answered

    transport = Between(answer)
    transport.asked, transport.let_go = 0, anyio.Event()
    try:
        yield transport
    finally:
        await transport.aclose()


@either_loop
async def test_a_probe_that_waited_finds_the_answer_and_presents_nothing(world):
    """The first holder lost its lease and stored the pair while the next one waited its turn."""
    async with (
        held() as first,
        held() as second,
        world.manager(
            LeasedOnce(world.store()), client=world.client(transport=first), lease_seconds=LEASE
        ) as one,
        world.manager(
            client=world.client(transport=second), lease_seconds=LEASE, concurrency=1
        ) as other,
        anyio.create_task_group() as tasks,
    ):
        store = world.store()
        for seller in ("1001", "1002"):
            await one.authorize(world.code(seller))
        tasks.start_soon(one.refresh, "1001")
        await eventually(lambda: first.asked == 1)
        tasks.start_soon(other.refresh, "1002")
        await eventually(lambda: second.asked == 1)
        probed = []

        async def probe():
            probed.append(await other.refresh("1001"))

        tasks.start_soon(probe)
        while b'"presentations":2' not in (await store.get(one.scope, "1001")).body:
            await anyio.sleep(0.01)
        first.let_go.set()
        while (await store.get(one.scope, "1001")).generation == 1:
            await anyio.sleep(0.01)
        second.let_go.set()
        await eventually(lambda: bool(probed))
        assert probed[0].refresh_token == world.live("1001").refresh_token
        assert world.presented() == second.asked + first.asked == 2
        await store.aclose()


@either_loop
async def test_a_pair_that_the_store_did_not_take_is_presented_under_a_lease(world):
    """Written to the store first, or whoever finds it due there would present it as well."""
    watched = WatchedStore(world.store())
    async with (
        held() as transport,
        world.manager(
            watched, client=world.client(transport=transport), lease_seconds=60
        ) as tokens,
        anyio.create_task_group() as tasks,
    ):
        transport.let_go.set()
        await tokens.authorize(world.code())
        watched.before = failing(1)
        await tokens.refresh("1001")
        assert not (await tokens.status("1001")).is_persisted
        transport.let_go = anyio.Event()
        tasks.start_soon(tokens.refresh, "1001")
        await eventually(lambda: transport.asked == 2)
        lent = await watched.lease(tokens.scope, "1001", holder="another", seconds=1)
        transport.let_go.set()
        assert lent is None


@either_loop
async def test_a_lease_that_cannot_be_lengthened_keeps_no_other_from_it(world):
    """All of them are lengthened at the same time."""
    lengthened = set()
    hangs = anyio.Event()

    class Hanging(WatchedStore):
        async def lease(self, scope, seller, *, holder, seconds):
            if transport.asked == 3 and seconds:
                lengthened.add(seller)
                if len(lengthened) == 1:
                    await hangs.wait()
            return await self._store.lease(scope, seller, holder=holder, seconds=seconds)

    sellers = ["1001", "1002", "1003"]
    async with (
        held() as transport,
        world.manager(
            Hanging(world.store()), client=world.client(transport=transport), lease_seconds=LEASE
        ) as tokens,
    ):
        for seller in sellers:
            await tokens.authorize(world.code(seller))
        async with anyio.create_task_group() as tasks:
            for seller in sellers:
                tasks.start_soon(tokens.refresh, seller)
            await eventually(lambda: lengthened == set(sellers))
            hangs.set()
            transport.let_go.set()
