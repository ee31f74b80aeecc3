"""Equal seller ids under several apps, platforms and environments, in one store."""

from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from tokens_scenario import APP, LEAD, MONTH, REFRESH, each_store

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running

OTHER = iop.App("654321", "helloworld too")
VENTURES = ("sg", "my", "vn", "th", "ph", "id")


@asynccontextmanager
async def four_kinds(shared):
    """Two apps of one platform, another platform, and another environment of the first app."""
    shared.sandbox.add_app(SandboxApp(OTHER.key, OTHER.secret))
    abroad = Sandbox(apps=[SandboxApp(APP.key, APP.secret)], now=shared.clock.now)
    with running(abroad) as url:
        here, there = iop.gateways.Iop(shared.url), iop.gateways.Iop(url)
        now = shared.clock.now
        async with AsyncExitStack() as stack:

            async def manager(app, gateway, **options):
                client = iop.Client(app, gateway, now=now)
                entered = shared.manager(client=client, **options)
                return await stack.enter_async_context(entered)

            yield [
                (await manager(APP, here), shared.sandbox, APP),
                (await manager(OTHER, here), shared.sandbox, OTHER),
                (await manager(APP, there), abroad, APP),
                (await manager(APP, here, scope="staging"), shared.sandbox, APP),
            ]


@each_store
async def test_one_seller_id_in_four_scopes_is_four_grants(shared):
    """Each is served, refreshed, due, failed and forgotten by itself."""
    async with four_kinds(shared) as sides:
        assert len({tokens.scope for tokens, _, _ in sides}) == 4
        for tokens, sandbox, app in sides[:3]:
            await tokens.authorize(sandbox.authorize("1001", app=app.key))
        with pytest.raises(iop.ReauthorizationRequired, match="never authorized"):
            await sides[3][0].token("1001")
        shared.clock.advance(MONTH - LEAD + 60)
        first, second, abroad = (tokens for tokens, _, _ in sides[:3])
        assert (await first.refresh_due()).refreshed == ("1001",)
        assert (await second.status("1001")).generation == 1
        for tokens, sandbox, app in sides[1:3]:
            await tokens.refresh("1001")
            live = sandbox.grants.live_pair(app.key, "1001")
            assert (await tokens.token("1001")).refresh_token == live.refresh_token
        for tokens in (first, second, abroad):
            assert (await tokens.status("1001")).generation == 2
            assert [one.seller_id async for one in tokens.statuses()] == ["1001"]
        assert await second.forget("1001")
        for tokens, sandbox, app in (sides[0], sides[2]):
            await tokens.seller("1001").call("/seller/get")
            live = sandbox.grants.live_pair(app.key, "1001")
            assert (await tokens.token("1001")).access_token == live.access_token


@each_store
async def test_six_ventures_share_one_token_and_one_refresh_among_all_hosts(shared):
    """Whichever of them is asked for, and on whichever host."""
    abroad = Sandbox(
        profile="lazada_cross_border",
        apps=[SandboxApp(APP.key, APP.secret)],
        sellers=["cb", "cb2"],
        now=shared.clock.now,
    )
    with running(abroad) as url:
        shared.url = url
        async with shared.hosts(3) as hosts:
            token = await hosts[0].authorize(abroad.authorize("cb"))
            other = await hosts[1].authorize(abroad.authorize("cb2"))
            names = [seller.seller_id for seller in token.sellers]
            assert [seller.country for seller in token.sellers] == list(VENTURES)
            assert len(set(names)) == 6
            assert set(names).isdisjoint(seller.seller_id for seller in other.sellers)
            shared.clock.advance(MONTH + 60)
            abroad.fail("latency", api=REFRESH, seconds=0.1)
            served = []

            async def ask(host, name):
                served.append((await host.token(name)).refresh_token)

            async with anyio.create_task_group() as tasks:
                for n, name in enumerate(names * 3):
                    tasks.start_soon(ask, hosts[n % 3], name)
            assert set(served) == {abroad.grants.live_pair(APP.key, "cb").refresh_token}
            assert len(abroad.ledger.refreshes) == 1
            assert len([one async for one in hosts[2].statuses()]) == 2
            assert (await hosts[2].token("cb2")).refresh_token != served[0]
            assert await hosts[2].forget(names[3])
            for name in names:
                assert not await hosts[1].forget(name)
            assert (await hosts[1].status("cb2")).generation == 2
