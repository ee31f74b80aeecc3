"""Many sellers due at once, few of them in memory, and some that are slow or broken."""

import asyncio
import gc
from datetime import timedelta
from itertools import pairwise

import anyio
import pytest
import sniffio
import trio
import trio.testing
from tokens_helpers import WatchedStore, failing
from tokens_scenario import DAY, LEAD, MONTH, REFRESH, either_loop

import iop_async as iop
from iop_async.calling import RateLimiter


def tasks_alive():
    if sniffio.current_async_library() == "trio":
        return trio.lowlevel.current_statistics().tasks_living
    # A manager's own tasks are not among those that asyncio lists.
    return sum(isinstance(each, asyncio.Task) and not each.done() for each in gc.get_objects())


async def imported(tokens, scenario, sellers):
    """Grants that fall due in one minute of the clock, and die in the order of the sellers."""
    minute = scenario.clock.now().replace(second=0, microsecond=0) - timedelta(minutes=1)

    async def put(seller, rank):
        pair = scenario.sandbox.grant(seller)
        issued_at = minute + timedelta(seconds=rank * 31 % 60)
        await tokens.import_token(
            iop.Token(
                access_token=pair["access_token"],
                refresh_token=pair["refresh_token"],
                issued_at=issued_at,
                expires_at=issued_at + timedelta(days=30),
                refresh_expires_at=minute + timedelta(days=100, seconds=rank),
                sellers=(iop.Seller(seller_id=seller),),
            )
        )

    rank = {seller: place for place, seller in enumerate(sellers)}
    waiting = iter(sorted(sellers))

    async def work():
        for seller in waiting:
            await put(seller, rank[seller])

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(work)


@pytest.mark.parametrize(
    "count", [300, pytest.param(5_000, marks=[pytest.mark.drill, pytest.mark.alone])]
)
@either_loop
async def test_many_sellers_that_fall_due_in_one_minute_are_kept_in_bounds(scenario, count):
    """Earliest death first, with few tasks and few grants in memory, beside other calls."""
    concurrency, cached = 5, 20
    scenario.sandbox.add_sellers(count - 3)
    sellers = list(scenario.sandbox.sellers)
    in_order = [sellers[each * 7919 % count] for each in range(count)]
    seen = {"tasks": 0, "cached": 0, "flights": 0}
    async with scenario.manager(
        keeper=True, concurrency=concurrency, cached=cached, lease_seconds=60
    ) as tokens:
        await imported(tokens, scenario, in_order)
        before = tasks_alive()
        scenario.sandbox.add_sellers(["other"])
        await tokens.authorize(scenario.code("other"))
        scenario.clock.advance(MONTH - LEAD / 2)
        scenario.sandbox.fail("latency", api=REFRESH, seconds=0.01, times=None)
        await tokens.refresh("other")
        calls = []
        with anyio.fail_after(280):
            while scenario.presented() < count + 1:
                begun = scenario.presented()
                await tokens.seller("other").call("/seller/get")
                calls.append(scenario.presented() - begun)
                if len(calls) % (count // 100) == 0:  # it looks at every object of the process
                    seen["tasks"] = max(seen["tasks"], tasks_alive() - before)
                seen["cached"] = max(seen["cached"], len(tokens._vault.cache._by_name))
                seen["flights"] = max(
                    seen["flights"], len(tokens._lifecycle.here.flights.seller_ids)
                )
    order = [entry.seller for entry in scenario.sandbox.ledger.refreshes if entry.seller != "other"]
    assert sorted(order) == sorted(in_order)
    capacity = 4 * concurrency
    rank = {seller: place for place, seller in enumerate(in_order)}
    assert max(abs(place - rank[seller]) for place, seller in enumerate(order)) <= 2 * capacity
    # One for each refresh, and one more while it opens a connection.
    assert 0 < seen["tasks"] <= 2 * capacity
    assert seen["cached"] <= cached
    assert 1 < seen["flights"] <= capacity + 1
    assert max(calls) <= 10 * concurrency


def test_refreshes_and_calls_keep_one_rate_first_come_first_served():
    """Evenly spaced, however many come at once; one that comes later waits for those alone."""

    async def main():
        rate, turns = RateLimiter(10), []

        async def wait(name):
            await rate.wait()
            turns.append((name, anyio.current_time()))

        async with anyio.create_task_group() as tasks:
            began = anyio.current_time()
            for _ in range(50):
                tasks.start_soon(wait, "refresh")
            await anyio.sleep(1.01)
            tasks.start_soon(wait, "call")
        times = [time - began for _, time in turns]
        assert all(later - sooner > 0.099 for sooner, later in pairwise(times))
        assert turns[-1][0] == "call"
        assert times[-1] < 5.2

    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(main, backend="trio", backend_options={"clock": clock})


@either_loop
async def test_refreshes_wait_for_their_turn_so_that_calls_are_not_starved(scenario):
    """Of sixty that are due no more than are under way stand before a call in the queue."""
    scenario.sandbox.add_sellers(57)
    async with scenario.manager(keeper=True, concurrency=5, rate=40, lease_seconds=60) as tokens:
        await imported(tokens, scenario, list(scenario.sandbox.sellers))
        scenario.sandbox.add_sellers(["other"])
        await tokens.authorize(scenario.code("other"))
        scenario.clock.advance(MONTH - LEAD / 2)
        scenario.live("other").access_until = scenario.clock.now() + timedelta(days=9)
        while scenario.presented() < 2:
            await anyio.sleep(0.002)
        await tokens.seller("1001").call("/sandbox/echo")
        assert scenario.presented() < 40
        with anyio.fail_after(60):
            while scenario.presented() < 61:
                await anyio.sleep(0.01)


@either_loop
async def test_one_slow_seller_and_one_broken_one_hold_up_nobody(scenario):
    """The keeper goes on with the others, over and over."""
    scenario.sandbox.add_sellers(17)
    sellers = list(scenario.sandbox.sellers)
    slow, broken, others = sellers[0], sellers[1], sellers[2:]
    scenario.sandbox.fail(
        "latency", api=REFRESH, seconds=120, seller_id=slow, after=False, times=None
    )
    scenario.sandbox.fail(
        "error", code="ServiceUnavailable", api=REFRESH, seller_id=broken, times=None
    )
    async with scenario.manager(
        keeper=True, concurrency=2, drain_seconds=0, lease_seconds=5
    ) as tokens:
        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
        for generation in (2, 3):
            scenario.clock.advance(MONTH - LEAD + 60)
            with anyio.fail_after(60):
                done = set()
                while done != set(others):
                    done = {
                        status.seller_id
                        async for status in tokens.statuses()
                        if status.generation == generation
                    }
                    await anyio.sleep(0.02)
            assert (await tokens.status(slow)).is_refreshing
        assert (await tokens.status(broken)).attempts >= 2


@either_loop
async def test_a_cache_that_is_too_small_causes_no_refreshes(scenario):
    """Every seller is refreshed once, however often each of them is asked for."""
    scenario.sandbox.add_sellers(9)
    sellers = list(scenario.sandbox.sellers)
    async with scenario.manager(cached=2) as tokens:
        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH + 60)
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for seller in sellers * 3:
                    tasks.start_soon(tokens.token, seller)
        for seller in sellers:
            token = await tokens.token(seller)
            assert token.refresh_token == scenario.live(seller).refresh_token
        assert len(tokens._vault.cache._by_name) <= 2
    assert scenario.presented() == 12


@either_loop
async def test_a_pair_that_only_memory_has_is_not_evicted(scenario):
    """The store is out of order, and there is no journal."""
    scenario.sandbox.add_sellers(9)
    sellers = list(scenario.sandbox.sellers)
    store = WatchedStore(scenario.store())
    store.path = None
    async with scenario.manager(store, cached=1) as tokens:
        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH + 60)
        store.before = failing(10**6)
        report = await tokens.refresh_many(sellers)
        assert len(report.refreshed) == 12
        for _ in range(2):
            for seller in sellers:
                token = await tokens.token(seller)
                assert token.refresh_token == scenario.live(seller).refresh_token
        store.before = None
        scenario.clock.advance(DAY)
        assert {status.is_persisted async for status in tokens.statuses()} == {False}
        await tokens._vault.flush()
    async with scenario.manager() as tokens:
        for seller in sellers:
            token = await tokens.token(seller)
            assert token.refresh_token == scenario.live(seller).refresh_token
    assert scenario.presented() == 12


@either_loop
async def test_a_refresh_under_way_is_not_evicted(scenario):
    """Whoever asks joins it, although its grant is no longer in memory."""
    async with scenario.manager(cached=1) as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH + 60)
        scenario.sandbox.fail("latency", api=REFRESH, seconds=0.3, seller_id="1001")
        async with anyio.create_task_group() as tasks:
            for seller in ("1001", "1002", "1003", "1001", "1002", "1001"):
                tasks.start_soon(tokens.token, seller)
                await anyio.sleep(0.02)
        assert scenario.presented() == 3


@either_loop
async def test_an_intent_changes_no_time_that_a_store_finds_a_record_by(scenario):
    """Nor when it dies: a database that keeps indexes of both need touch none."""
    written = []

    class Store(WatchedStore):
        async def put(self, record, *, release=None):
            written.append(record)
            return await super().put(record, release=release)

    async with scenario.manager(Store(scenario.store())) as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD / 2)
        await tokens.refresh_due()
    approved, intended, outcome = written
    assert (intended.due_at, intended.dies_at) == (approved.due_at, approved.dies_at)
    assert outcome.due_at > intended.due_at
