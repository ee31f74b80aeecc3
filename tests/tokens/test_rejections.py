"""Calls whose access token is refused: one refresh, one repetition, nothing applied twice."""

import anyio
import pytest
from tokens_world import either_loop, eventually

import iop_async as iop

CREATE = "/seller/get"


def executed(world, api):
    """How often the gateway has done what a call asked for."""
    return world.sandbox.ledger.calls[api, "0"]


@either_loop
async def test_stragglers_with_the_old_token_cause_no_second_refresh(world):
    """Their refusals come when the token has long been renewed."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        done = []

        async def call():
            done.append((await tokens.seller("1001").call(CREATE)).request_id)

        world.sandbox.fail("latency", api=CREATE, seconds=0.5, after=False, times=10)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call)
            await eventually(lambda: world.sandbox.faults.rules[0].hits == 10)
            world.live().access_until = world.clock.now()
            for _ in range(10):
                tasks.start_soon(call)
        assert len(done) == 20
        assert executed(world, CREATE) == 20
        assert world.presented() == 1


@pytest.mark.parametrize("idempotent", [None, False, True])
@either_loop
async def test_calls_under_way_when_a_rotation_kills_their_token_are_each_made_once(
    world, idempotent
):
    """Fifty of them; the gateway refused them before it did anything, so each is repeated."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        old = world.live()
        done = []

        async def call():
            reply = await tokens.seller("1001").call(CREATE, idempotent=idempotent)
            done.append(reply.request_id)

        async with anyio.create_task_group() as tasks:
            world.sandbox.fail("latency", api=CREATE, seconds=1, after=False, times=50)
            for _ in range(50):
                tasks.start_soon(call)
            await eventually(lambda: world.sandbox.faults.rules[0].hits == 50)
            await tokens.refresh("1001")
        assert not old.access_live
        assert len(set(done)) == 50
        assert executed(world, CREATE) == 50
        assert 1 <= world.sandbox.ledger.calls[CREATE, "IllegalAccessToken"] <= 50
        assert world.presented() == 1


@pytest.mark.parametrize("kind", ["drop", "html", "truncate"])
@either_loop
async def test_a_call_that_failed_otherwise_is_not_repeated(world, kind):
    """It may have been applied; whoever asked for it decides."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.sandbox.fail(kind, api=CREATE, after=True)
        with pytest.raises(iop.IopError) as caught:
            await tokens.seller("1001").call(CREATE, idempotent=False)
        assert caught.value.may_have_been_applied
        assert sum(n for (api, _), n in world.sandbox.ledger.calls.items() if api == CREATE) <= 1
        assert world.presented() == 0


@either_loop
async def test_a_refused_token_that_cannot_be_renewed_is_not_tried_again(world):
    """The seller must authorize; the call was made once and surfaces that."""
    async with world.manager() as tokens:
        await tokens.authorize(world.code())
        world.sandbox.grants.revoke("123456", "1001")
        with pytest.raises(iop.AuthError, match="IllegalRefreshToken"):
            await tokens.seller("1001").call(CREATE)
        for _ in range(3):
            with pytest.raises(iop.ReauthorizationRequired):
                await tokens.seller("1001").call(CREATE)
        assert world.presented() == 1
