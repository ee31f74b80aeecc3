"""Which token is served, and when it is refreshed."""

import anyio
import pytest
from tokens_world import LEAD, MONTH, either_loop

import iop_async as iop


@either_loop
async def test_a_fresh_token_is_served_without_a_refresh(world):
    """And from memory."""
    async with world.manager() as tokens:
        token = await tokens.authorize(world.code())
        assert (await tokens.token("1001")).access_token == token.access_token
        assert world.presented() == 0


@either_loop
async def test_a_due_token_is_served_while_one_task_renews_it(world):
    """Thirty minutes early; the caller does not wait."""
    async with world.manager() as tokens:
        old = await tokens.authorize(world.code())
        events = tokens.events()
        world.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.token("1001")).access_token == old.access_token
        assert (await anext(events)).kind == "refreshed"
        new = await tokens.token("1001")
        assert new.access_token == world.live().access_token != old.access_token


@either_loop
async def test_100_tasks_ask_for_the_same_due_seller_and_one_refresh_serves_all(world):
    """Expired: they all wait for it."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH + 60)
        served = []

        async def ask():
            served.append((await tokens.token("1001")).access_token)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
        assert set(served) == {world.live().access_token}
        assert len(served) == 100
        assert world.presented() == 1


async def test_different_sellers_do_not_wait_for_one_another(world):
    """One slow answer delays nobody else: there is no global lock."""
    world.sandbox.add_sellers(100)
    async with world.manager(drain_seconds=0) as tokens:
        for seller in world.sandbox.sellers:
            await tokens.authorize(world.code(seller))
        world.clock.advance(MONTH + 60)
        world.sandbox.fail("latency", seconds=120, seller="1001")
        slow = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.token, "1001")
            with anyio.fail_after(60):
                async with anyio.create_task_group() as others:
                    for seller in list(world.sandbox.sellers)[1:]:
                        others.start_soon(tokens.token, seller)
            slow.append(world.live("1001"))
            tasks.cancel_scope.cancel()
        assert world.presented() >= 102


@either_loop
async def test_an_unknown_seller_must_authorize(world):
    """With a clear error."""
    async with world.manager() as tokens:
        with pytest.raises(iop.ReauthorizationRequired, match="never authorized"):
            await tokens.token("nobody")


@either_loop
async def test_any_of_a_cross_border_token_s_sellers_finds_the_one_grant(world):
    """Six ventures share one token and one refresh."""
    sellers = tuple(iop.Seller(c, f"{c}-1") for c in ("sg", "my", "vn", "th", "ph", "id"))
    now = world.clock.now()
    token = iop.Token(access_token="a", refresh_token="r", issued_at=now, sellers=sellers)
    async with world.manager() as tokens:
        await tokens.import_token(token)
        for seller in sellers:
            assert (await tokens.token(seller.seller_id)).access_token == "a"
        assert [status.seller async for status in tokens.statuses()] == ["sg-1"]


@either_loop
async def test_a_refused_token_makes_one_refresh_for_a_hundred_calls(world):
    """Each call is repeated once; stragglers with the old token cause no second refresh."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.sandbox.grants.live_pair("123456", "1001").access_until = world.clock.now()
        done = []

        async def call():
            done.append((await tokens.seller("1001").call("/seller/get")).request_id)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(call)
        assert len(done) == 100
        assert world.presented() == 1


@either_loop
async def test_a_second_rejection_surfaces(world):
    """One retry, not a loop."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.sandbox.fail("error", code="IllegalAccessToken", api="/seller/get", times=None)
        with pytest.raises(iop.AuthError, match="IllegalAccessToken"):
            await tokens.seller("1001").call("/seller/get")
        assert world.presented() == 1


@either_loop
async def test_a_seller_that_cannot_be_refreshed_is_served_to_its_end(world):
    """``refresh_expires_in = 0``: one event, no refresh, then the seller must authorize."""
    world.sandbox.add_app(
        type(world.sandbox.apps["123456"])("123456", "helloworld", refreshable=False)
    )
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH - 60)
        await tokens.token("1001")
        world.clock.advance(120)
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
        assert world.presented() == 0


@either_loop
async def test_many_are_refreshed_at_the_same_time_with_progress(world):
    """A report says what became of each."""
    progress = []
    async with world.manager() as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(world.code(seller))
        world.sandbox.fail("error", code="ServiceUnavailable", seller="1002")
        sellers = ["1001", "1002", "nobody", "1001"]
        report = await tokens.refresh_many(sellers, on_progress=progress.append)
    assert report.refreshed == ("1001",)
    assert "never authorized" in report.skipped["nobody"]
    assert isinstance(report.failed["1002"], iop.ServiceError)
    assert [step.done for step in progress] == [1, 2, 3]
    assert {step.total for step in progress} == {3}


@either_loop
async def test_what_is_due_is_refreshed_on_request(world):
    """For those who run without a keeper."""
    async with world.manager() as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(world.code(seller))
        assert (await tokens.refresh_due()).refreshed == ()
        world.clock.advance(MONTH - LEAD + 1)
        assert set((await tokens.refresh_due()).refreshed) == {"1001", "1002"}
        assert (await tokens.refresh_due()).refreshed == ()


@either_loop
async def test_the_keeper_refreshes_what_falls_due(world):
    """Without anybody asking, over months."""
    async with world.manager(keeper=True) as tokens:
        events = tokens.events()
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(world.code(seller))
        for month in range(1, 4):
            world.clock.advance(MONTH - LEAD + 1)
            with anyio.fail_after(60):
                seen = {(await anext(events)).seller for _ in range(3)}
            assert seen == {"1001", "1002", "1003"}
            assert world.presented() == 3 * month


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_whole_life_of_a_grant_under_either_event_loop(world, backend):
    """Authorize, be kept, survive a restart, be forgotten."""

    async def first():
        async with world.manager(keeper=True) as tokens:
            events = tokens.events()
            await tokens.authorize(world.code())
            world.clock.advance(MONTH - LEAD + 1)
            with anyio.fail_after(60):
                assert (await anext(events)).kind == "refreshed"

    async def second():
        async with world.manager() as tokens:
            assert (await tokens.token("1001")).access_token == world.live().access_token
            assert (await tokens.status("1001")).generation == 2
            assert await tokens.forget("1001")
            with pytest.raises(iop.ReauthorizationRequired):
                await tokens.token("1001")

    anyio.run(first, backend=backend)
    anyio.run(second, backend=backend)


@either_loop
async def test_the_manager_serves_top_sellers_as_well(world):
    """Their tokens come in ``token_result``, from other endpoints, and are kept alike."""
    world.sandbox.grants.access_seconds = MONTH
    client = iop.Client(
        iop.App("123456", "helloworld"),
        iop.gateways.Top(f"{world.url}/router/rest"),
        now=world.clock.now,
    )
    async with world.manager(client=client) as tokens:
        await tokens.authorize(world.code())
        world.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        token = await tokens.token("1001")
        assert token.refresh_token == world.live().refresh_token
        reply = await tokens.seller("1001").call("taobao.user.seller.get", {"fields": "nick"})
        assert reply.data
        world.live().access_until = world.clock.now()
        await tokens.seller("1001").call("taobao.user.seller.get", {"fields": "nick"})
        assert world.presented() == 2
