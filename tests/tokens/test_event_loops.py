"""Event loops that end, tasks that come and go, and a shutdown with much under way."""

import asyncio
import json

import anyio
import pytest
from tokens_world import LEAD, MONTH, REFRESH, either_loop, eventually

import iop_async as iop
from iop_async.testing._transport import FleetingTransport


@either_loop
async def test_a_caller_s_deadline_is_its_own(world):
    """It gets its timeout, as a plain error; the next call finds the new token."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH + 1)
        world.sandbox.fail("latency", seconds=0.3, api=REFRESH)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await tokens.token("1001")
        assert (await tokens.token("1001")).access_token == world.live().access_token
        assert world.presented() == 1


@either_loop
async def test_an_error_of_the_gateway_comes_as_it_is_and_in_no_group(world):
    """For every way in which a refresh is asked for."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH + 1)
        world.sandbox.fail("error", code="ServiceUnavailable", api=REFRESH, times=None)
        with pytest.raises(iop.ServiceError):
            await tokens.token("1001")
        with pytest.raises(iop.TokenError):
            await tokens.seller("1001").call("/seller/get")
        with pytest.raises(iop.ServiceError):
            await tokens.refresh("1001")
        report = await tokens.refresh_many(["1001"])
        assert isinstance(report.failed["1001"], iop.ServiceError)


def left_running(world, *, manager):
    """A program that ends in the middle of a refresh, without closing anything."""

    async def main():
        await manager.__aenter__()
        if not world.presented():
            await manager.authorize(world.code())
        world.clock.advance(MONTH - LEAD / 2)
        world.sandbox.fail("latency", seconds=0.5, api=REFRESH, after=False)
        await manager.token("1001")
        await eventually(lambda: world.sandbox.faults.rules[-1].hits == 1)

    return main


def test_a_refresh_that_its_event_loop_took_along_is_left_as_an_intent(world):
    """The same manager is entered in another event loop, and probes once."""
    store = world.store()
    client = world.client(transport=FleetingTransport())
    manager = iop.TokenManager(
        client, store, clock=world.clock, keeper=False, lease_seconds=0.2, scope="one"
    )
    asyncio.run(left_running(world, manager=manager)())
    world.sandbox.faults.clear()

    async def second():
        async with manager as tokens:
            grant = await tokens._vault.load("1001")
            assert grant.intent is not None
            await anyio.sleep(0.3)
            await tokens.refresh_due()
            return await tokens.token("1001")

    token = asyncio.run(second())
    assert token.refresh_token == world.live().refresh_token
    asyncio.run(store.aclose())


def test_a_manager_whose_event_loop_is_gone_says_so_instead_of_waiting(world):
    """Used in another event loop without being entered there."""
    store = world.store()
    client = world.client(transport=FleetingTransport())
    manager = iop.TokenManager(client, store, clock=world.clock, keeper=False)
    asyncio.run(left_running(world, manager=manager)())

    async def second():
        for _ in range(2):
            with anyio.fail_after(60), pytest.raises(RuntimeError, match="not running"):
                await manager.refresh("1001")

    asyncio.run(second())
    asyncio.run(store.aclose())


async def test_a_call_that_is_begun_in_one_task_and_closed_in_another_holds_nothing(world):
    """As frameworks do that drive coroutines by hand; the refresh goes on without it."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH + 1)
        world.sandbox.fail("latency", seconds=0.3, api=REFRESH)
        begun = [tokens.token("1001"), tokens.seller("1001").call("/seller/get")]

        async def begin():
            for coroutine in begun:
                for _ in range(3):
                    waiting = coroutine.send(None)
                    if waiting is not None:
                        waiting._asyncio_future_blocking = False
                        break

        async def close():
            for coroutine in begun:
                coroutine.close()

        await asyncio.create_task(begin())
        await asyncio.create_task(close())
        assert (await tokens.token("1001")).access_token == world.live().access_token
        await tokens.seller("1001").call("/seller/get")
        assert world.presented() == 1


@either_loop
async def test_a_listing_that_is_left_in_another_task_holds_nothing(world):
    """Statuses and events begun here, gone on with there, and never read to their end."""
    async with world.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(world.code(seller))
        statuses, events = tokens.statuses(), tokens.events()
        read = []

        async def begin():
            read.append(await anext(statuses))
            with anyio.move_on_after(0.01):
                await anext(events)

        async def go_on():
            read.append(await anext(statuses))

        for part in (begin, go_on):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(part)
        assert len(read) == 2
        report = await tokens.refresh_many(["1001", "1002", "1003"])
        assert len(report.refreshed) == 3
        assert len([status async for status in tokens.statuses()]) == 3
        assert (await anext(events)).kind == "refreshed"


@either_loop
async def test_closing_with_fifty_refreshes_under_way_drains_some_and_names_the_rest(world, caplog):
    """Within its deadline: what has its answer is stored, the rest is an intent and in a log."""
    world.sandbox.add_sellers(47)
    sellers = list(world.sandbox.sellers)
    slow = sellers[::2]
    async with world.manager(concurrency=50, drain_seconds=1.5, lease_seconds=30) as tokens:
        for seller in sellers:
            await tokens.authorize(world.code(seller))
        world.clock.advance(MONTH - LEAD / 2)
        for seller in slow:
            world.sandbox.fail("latency", seconds=8, api=REFRESH, seller=seller, after=False)
        for seller in sellers:
            await tokens.token(seller)
        await eventually(lambda: all(rule.hits for rule in world.sandbox.faults.rules))
    (line,) = [r.getMessage() for r in caplog.records if "had an answer" in r.getMessage()]
    assert all(seller in line for seller in slow)
    assert not any(seller in line for seller in set(sellers) - set(slow))
    async with world.store() as store:
        async for record in store.records(f"123456@{world.url.removeprefix('http://')}"):
            body = json.loads(record.body)
            assert (body["intent"] is not None) == (record.seller in slow)
            if record.seller not in slow:
                live = world.live(record.seller).refresh_token
                assert body["token"]["refresh_token"] == live
