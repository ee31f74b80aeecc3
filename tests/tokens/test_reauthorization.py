"""The seller approves again, or leaves, while a refresh of the earlier pair is under way."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest
from tokens_hands import Between, WatchedStore, failing
from tokens_world import LEAD, MONTH, either_loop

import iop_async as iop


class Pause:
    """Holds the answer to a refresh back, before or after the gateway has done the work."""

    def __init__(self, *, after):
        self.is_after = after
        self.reached, self.go_on = anyio.Event(), anyio.Event()

    async def __call__(self, go_on):
        try:
            answer = await go_on() if self.is_after else None
        finally:
            self.reached.set()
            await self.go_on.wait()
        return answer or await go_on()


@asynccontextmanager
async def refreshing(world, *, after, store=None):
    """A manager whose refresh of a seller has reached the gateway, and what to do with it."""
    transport = Between(None)
    client = world.client(transport=transport)
    try:
        async with world.manager(store, client=client) as tokens:
            await tokens.authorize(world.code())
            world.clock.advance(MONTH - LEAD + 60)
            transport.answer = pause = Pause(after=after)

            async with anyio.create_task_group() as tasks:

                async def refresh():
                    try:
                        await tokens.refresh("1001")
                    except iop.IopError as error:
                        errors.append(error)
                    landed.set()

                async def land():
                    pause.go_on.set()
                    await landed.wait()
                    return errors

                errors, landed = [], anyio.Event()
                tasks.start_soon(refresh)
                await pause.reached.wait()
                yield tokens, land
                pause.go_on.set()
    finally:
        await transport.aclose()


@pytest.mark.parametrize("after", [False, True])
@either_loop
async def test_a_re_authorization_survives_a_late_answer_to_the_old_pair(world, after):
    """Be that answer a pair or a refusal, it is of an older grant and is dropped."""
    async with refreshing(world, after=after) as (tokens, land):
        token = await tokens.authorize(world.code())
        await land()
        assert (await tokens.token("1001")).access_token == token.access_token
        status = await tokens.status("1001")
        assert (status.state, status.is_persisted, status.attempts) == ("live", True, 0)
    async with world.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token
        assert token.refresh_token == world.live().refresh_token
        assert (await tokens.refresh("1001")).refresh_token == world.live().refresh_token


@pytest.mark.parametrize("kind", ["drop", "html", "error"])
@either_loop
async def test_a_re_authorization_survives_a_failure_of_the_old_pair_s_refresh(world, kind):
    """No ambiguity, no backoff, no alarm is carried over; who waited gets the new pair."""
    world.sandbox.fail(
        kind,
        api="/auth/token/refresh",
        **({"code": "ServiceUnavailable"} if kind == "error" else {}),
    )
    async with refreshing(world, after=False) as (tokens, land):
        events = tokens.events()
        token = await tokens.authorize(world.code())
        assert await land() == []
        status = await tokens.status("1001")
        assert (status.state, status.retry_at, status.attempts) == ("live", None, 0)
        assert (await tokens.token("1001")).access_token == token.access_token
        tokens._announcer.close()
        assert [event.kind async for event in events] == []


@either_loop
async def test_a_re_authorization_survives_while_the_store_is_out_of_order(world):
    """Both pairs are only in memory and in the journal; the later grant wins."""
    store = WatchedStore(world.store())
    async with refreshing(world, after=True, store=store) as (tokens, land):
        store.before = failing(1000)
        token = await tokens.authorize(world.code())
        await land()
        assert (await tokens.token("1001")).access_token == token.access_token
        store.before = None
        await tokens.refresh_due()
    async with world.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token
        assert token.refresh_token == world.live().refresh_token


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [None, "drop", "error"])
@either_loop
async def test_a_late_answer_does_not_bring_a_forgotten_seller_back(world, after, kind):
    """Neither a pair nor a failure of its refresh writes anything."""
    if kind is not None:
        code = {"code": "ServiceUnavailable"} if kind == "error" else {}
        world.sandbox.fail(kind, api="/auth/token/refresh", **code)
    async with refreshing(world, after=after) as (tokens, land):
        assert await tokens.forget("1001")
        assert await land()
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
    async with world.manager() as tokens:
        with pytest.raises(iop.ReauthorizationRequired, match="never authorized"):
            await tokens.token("1001")
        assert [status async for status in tokens.statuses()] == []
    assert world.presented() == 1


@pytest.mark.parametrize("after", [False, True])
@either_loop
async def test_a_seller_that_left_and_came_back_keeps_the_pair_it_came_back_with(world, after):
    """The answer to what was asked before it left is of another grant."""
    async with refreshing(world, after=after) as (tokens, land):
        await tokens.forget("1001")
        token = await tokens.authorize(world.code())
        await land()
        assert (await tokens.token("1001")).access_token == token.access_token
    async with world.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token
        assert token.refresh_token == world.live().refresh_token


@pytest.mark.parametrize("failures", [0, 1])
@pytest.mark.parametrize("alone", [0, 1])
@either_loop
async def test_a_seller_that_approves_alone_takes_no_other_s_token_along(world, failures, alone):
    """Be it the first of the token's sellers or not, and be the token in the store or not yet."""
    store = WatchedStore(world.store(), before=failing(failures))
    sellers = [iop.Seller(each, f"{each}-1") for each in ("sg", "my", "vn")]
    now = world.clock.now()

    def pair(name, *named):
        return iop.Token(access_token=name, refresh_token=f"r-{name}", issued_at=now, sellers=named)

    async def served(tokens):
        return [(await tokens.token(seller.seller_id)).access_token for seller in sellers]

    expected = ["all", "all", "all"]
    async with world.manager(store, scope="one") as tokens:
        await tokens.import_token(pair("all", *sellers))
        assert await served(tokens) == expected
        expected[alone] = "alone"
        await tokens.import_token(pair("alone", sellers[alone]))
        assert await served(tokens) == expected
    async with world.manager(scope="one") as tokens:
        assert await served(tokens) == expected
        assert len([status async for status in tokens.statuses()]) == 2


@either_loop
async def test_a_late_answer_reaches_the_ventures_that_did_not_approve_alone(world):
    """One of several sellers of a token approves alone while that token is refreshed."""
    sellers = tuple(iop.Seller(each, f"{each}-1") for each in ("sg", "my", "vn"))

    def pair(name, *named):
        return iop.Token(
            access_token=f"a-{name}",
            refresh_token=f"r-{name}",
            issued_at=world.clock.now(),
            sellers=named,
        )

    listed = [{"country": each.country, "seller_id": each.seller_id} for each in sellers]
    answer = {"code": "0", "access_token": "a-2", "refresh_token": "r-2", "user_info": listed}
    reached, go_on = anyio.Event(), anyio.Event()

    async def hold(_):
        reached.set()
        await go_on.wait()
        return iop.HttpResponse(200, {}, json.dumps(answer).encode())

    transport = Between(hold)
    async with world.manager(client=world.client(transport=transport)) as tokens:
        await tokens.import_token(pair("1", *sellers))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.refresh, "my-1")
            await reached.wait()
            await tokens.import_token(pair("alone", sellers[0]))
            go_on.set()
        assert (await tokens.token("sg-1")).access_token == "a-alone"
        assert (await tokens.token("my-1")).access_token == "a-2"
        assert (await tokens.token("vn-1")).access_token == "a-2"
    async with world.manager() as tokens:
        assert (await tokens.token("sg-1")).access_token == "a-alone"
        assert (await tokens.token("my-1")).access_token == "a-2"
    await transport.aclose()
