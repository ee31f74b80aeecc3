"""Which token is served, and when it is refreshed."""

import anyio
import pytest
from tokens_scenario import LEAD, MONTH, either_loop

import iop_async as iop


@either_loop
async def test_a_fresh_token_is_served_without_a_refresh(scenario):
    """And from memory."""
    async with scenario.manager() as tokens:
        token = await tokens.authorize(scenario.code())
        assert (await tokens.token("1001")).access_token == token.access_token
        assert scenario.presented() == 0


@either_loop
async def test_a_due_token_is_served_while_one_task_renews_it(scenario):
    """Thirty minutes early; the caller does not wait."""
    async with scenario.manager() as tokens:
        old = await tokens.authorize(scenario.code())
        events = tokens.events()
        scenario.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.token("1001")).access_token == old.access_token
        assert (await anext(events)).kind == "refreshed"
        new = await tokens.token("1001")
        assert new.access_token == scenario.live().access_token != old.access_token


@either_loop
async def test_100_tasks_ask_for_the_same_due_seller_and_one_refresh_serves_all(scenario):
    """Expired: they all wait for it."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 60)
        served = []

        async def ask():
            served.append((await tokens.token("1001")).access_token)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
        assert set(served) == {scenario.live().access_token}
        assert len(served) == 100
        assert scenario.presented() == 1


async def test_different_sellers_do_not_wait_for_one_another(scenario):
    """One slow answer delays nobody else: there is no global lock."""
    scenario.sandbox.add_sellers(100)
    async with scenario.manager(drain_seconds=0, lease_seconds=60) as tokens:
        for seller in scenario.sandbox.sellers:
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH + 60)
        scenario.sandbox.fail("latency", seconds=120, seller_id="1001")
        slow = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.token, "1001")
            with anyio.fail_after(60):
                async with anyio.create_task_group() as others:
                    for seller in list(scenario.sandbox.sellers)[1:]:
                        others.start_soon(tokens.token, seller)
            slow.append(scenario.live("1001"))
            tasks.cancel_scope.cancel()
        assert scenario.presented() >= 102


@either_loop
async def test_an_unknown_seller_must_authorize(scenario):
    """With a clear error."""
    async with scenario.manager() as tokens:
        with pytest.raises(iop.ReauthorizationRequired, match="never authorized"):
            await tokens.token("nobody")


@either_loop
async def test_any_of_a_cross_border_token_s_sellers_finds_the_one_grant(scenario):
    """Six ventures share one token and one refresh."""
    sellers = tuple(iop.Seller(c, f"{c}-1") for c in ("sg", "my", "vn", "th", "ph", "id"))
    now = scenario.clock.now()
    token = iop.Token(access_token="a", refresh_token="r", issued_at=now, sellers=sellers)
    async with scenario.manager() as tokens:
        await tokens.import_token(token)
        for seller in sellers:
            assert (await tokens.token(seller.seller_id)).access_token == "a"
        assert [status.seller_id async for status in tokens.statuses()] == ["sg-1"]


@either_loop
async def test_a_refused_token_makes_one_refresh_for_a_hundred_calls(scenario):
    """Each call is repeated once; stragglers with the old token cause no second refresh."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.grants.live_pair("123456", "1001").access_until = scenario.clock.now()
        done = []

        async def call():
            done.append((await tokens.seller("1001").call("/seller/get")).request_id)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(call)
        assert len(done) == 100
        assert scenario.presented() == 1


@either_loop
async def test_a_second_rejection_surfaces(scenario):
    """One retry, not a loop."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("error", code="IllegalAccessToken", api="/seller/get", times=None)
        with pytest.raises(iop.AuthError, match="IllegalAccessToken"):
            await tokens.seller("1001").call("/seller/get")
        assert scenario.presented() == 1


@either_loop
async def test_a_seller_that_cannot_be_refreshed_is_served_to_its_end(scenario):
    """``refresh_expires_in = 0``: one event, no refresh, then the seller must authorize."""
    scenario.sandbox.add_app(
        type(scenario.sandbox.apps["123456"])("123456", "helloworld", refreshable=False)
    )
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - 60)
        await tokens.token("1001")
        scenario.clock.advance(120)
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
        assert scenario.presented() == 0


@either_loop
async def test_many_are_refreshed_at_the_same_time_with_progress(scenario):
    """A report says what became of each."""
    progress = []
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        scenario.sandbox.fail("error", code="ServiceUnavailable", seller_id="1002")
        sellers = ["1001", "1002", "nobody", "1001"]
        report = await tokens.refresh_many(sellers, on_progress=progress.append)
    assert report.refreshed == ("1001",)
    assert "never authorized" in report.skipped["nobody"]
    assert isinstance(report.failed["1002"], iop.ServiceError)
    assert [step.done for step in progress] == [1, 2, 3]
    assert {step.total for step in progress} == {3}


@either_loop
async def test_what_is_due_is_refreshed_on_request(scenario):
    """For those who run without a keeper."""
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        assert (await tokens.refresh_due()).refreshed == ()
        scenario.clock.advance(MONTH - LEAD + 1)
        assert set((await tokens.refresh_due()).refreshed) == {"1001", "1002"}
        assert (await tokens.refresh_due()).refreshed == ()


@either_loop
async def test_the_keeper_refreshes_what_falls_due(scenario):
    """Without anybody asking, over months."""
    async with scenario.manager(keeper=True) as tokens:
        events = tokens.events()
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        for month in range(1, 4):
            scenario.clock.advance(MONTH - LEAD + 1)
            with anyio.fail_after(60):
                seen = {(await anext(events)).seller_id for _ in range(3)}
            assert seen == {"1001", "1002", "1003"}
            assert scenario.presented() == 3 * month


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_whole_life_of_a_grant_under_either_event_loop(scenario, backend):
    """Authorize, be kept, survive a restart, be forgotten."""

    async def first():
        async with scenario.manager(keeper=True) as tokens:
            events = tokens.events()
            await tokens.authorize(scenario.code())
            scenario.clock.advance(MONTH - LEAD + 1)
            with anyio.fail_after(60):
                assert (await anext(events)).kind == "refreshed"

    async def second():
        async with scenario.manager() as tokens:
            assert (await tokens.token("1001")).access_token == scenario.live().access_token
            assert (await tokens.status("1001")).generation == 2
            assert await tokens.forget("1001")
            with pytest.raises(iop.ReauthorizationRequired):
                await tokens.token("1001")

    anyio.run(first, backend=backend)
    anyio.run(second, backend=backend)


@either_loop
async def test_the_manager_serves_top_sellers_as_well(scenario):
    """Their tokens come in ``token_result``, from other endpoints, and are kept alike."""
    scenario.sandbox.grants.access_seconds = MONTH
    client = iop.Client(
        iop.App("123456", "helloworld"),
        iop.gateways.Top(f"{scenario.url}/router/rest"),
        now=scenario.clock.now,
    )
    async with scenario.manager(client=client) as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        assert (await tokens.refresh_due()).refreshed == ("1001",)
        token = await tokens.token("1001")
        assert token.refresh_token == scenario.live().refresh_token
        reply = await tokens.seller("1001").call("taobao.user.seller.get", {"fields": "nick"})
        assert reply.data
        scenario.live().access_until = scenario.clock.now()
        await tokens.seller("1001").call("taobao.user.seller.get", {"fields": "nick"})
        assert scenario.presented() == 2
