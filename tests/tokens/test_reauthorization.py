"""The seller approves again, or leaves, while a refresh of the earlier pair is under way."""

from contextlib import asynccontextmanager

import anyio
import pytest
from tokens_helpers import Between, WatchedStore, failing
from tokens_scenario import LEAD, MONTH, all_told, either_loop

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
async def refreshing(scenario, *, after, store=None):
    """A manager whose refresh of a seller has reached the gateway, and what to do with it."""
    transport = Between(None)
    client = scenario.client(transport=transport)
    try:
        async with scenario.manager(store, client=client) as tokens:
            await tokens.authorize(scenario.code())
            scenario.clock.advance(MONTH - LEAD + 60)
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
async def test_a_re_authorization_survives_a_late_answer_to_the_old_pair(scenario, after):
    """Be that answer a pair or a refusal, it is of an older grant and is dropped."""
    async with refreshing(scenario, after=after) as (tokens, land):
        token = await tokens.authorize(scenario.code())
        await land()
        assert (await tokens.token("1001")).access_token == token.access_token
        status = await tokens.status("1001")
        assert (status.state, status.is_persisted, status.attempts) == ("live", True, 0)
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token
        assert token.refresh_token == scenario.live().refresh_token
        assert (await tokens.refresh("1001")).refresh_token == scenario.live().refresh_token


@pytest.mark.parametrize("kind", ["drop", "html", "error"])
@either_loop
async def test_a_re_authorization_survives_a_failure_of_the_old_pair_s_refresh(scenario, kind):
    """No ambiguity, no backoff, no alarm is carried over; who waited gets the new pair."""
    scenario.sandbox.fail(
        kind,
        api="/auth/token/refresh",
        **({"code": "ServiceUnavailable"} if kind == "error" else {}),
    )
    async with refreshing(scenario, after=False) as (tokens, land):
        events = tokens.events()
        token = await tokens.authorize(scenario.code())
        assert await land() == []
        status = await tokens.status("1001")
        assert (status.state, status.retry_at, status.attempts) == ("live", None, 0)
        assert (await tokens.token("1001")).access_token == token.access_token
        assert await all_told(tokens, events) == []


@either_loop
async def test_a_re_authorization_survives_while_the_store_is_out_of_order(scenario):
    """Both pairs are only in memory and in the journal; the later grant wins."""
    store = WatchedStore(scenario.store())
    async with refreshing(scenario, after=True, store=store) as (tokens, land):
        store.before = failing(1000)
        token = await tokens.authorize(scenario.code())
        await land()
        assert (await tokens.token("1001")).access_token == token.access_token
        store.before = None
        await tokens.refresh_due()
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token
        assert token.refresh_token == scenario.live().refresh_token


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [None, "drop", "error"])
@either_loop
async def test_a_late_answer_does_not_bring_a_forgotten_seller_back(scenario, after, kind):
    """Neither a pair nor a failure of its refresh writes anything."""
    if kind is not None:
        code = {"code": "ServiceUnavailable"} if kind == "error" else {}
        scenario.sandbox.fail(kind, api="/auth/token/refresh", **code)
    async with refreshing(scenario, after=after) as (tokens, land):
        assert await tokens.forget("1001")
        assert await land()
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
    async with scenario.manager() as tokens:
        with pytest.raises(iop.ReauthorizationRequired, match="never authorized"):
            await tokens.token("1001")
        assert [status async for status in tokens.statuses()] == []
    assert scenario.presented() == 1


@pytest.mark.parametrize("after", [False, True])
@either_loop
async def test_a_seller_that_left_and_came_back_keeps_the_pair_it_came_back_with(scenario, after):
    """The answer to what was asked before it left is of another grant."""
    async with refreshing(scenario, after=after) as (tokens, land):
        await tokens.forget("1001")
        token = await tokens.authorize(scenario.code())
        await land()
        assert (await tokens.token("1001")).access_token == token.access_token
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token
        assert token.refresh_token == scenario.live().refresh_token


@either_loop
async def test_a_seller_that_is_being_forgotten_is_not_remembered_meanwhile(scenario):
    """Whoever asks for its token before the store has removed it gets it for the last time."""
    reached, go_on = anyio.Event(), anyio.Event()

    class Slow(WatchedStore):
        async def remove(self, *args):
            reached.set()
            await go_on.wait()
            return await self._store.remove(*args)

    async with scenario.manager(Slow(scenario.store())) as tokens:
        await tokens.authorize(scenario.code())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.forget, "1001")
            await reached.wait()
            await tokens.token("1001")
            go_on.set()
        with pytest.raises(iop.ReauthorizationRequired):
            await tokens.token("1001")
