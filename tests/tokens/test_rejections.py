"""Calls whose access token is refused: one refresh, one repetition, nothing applied twice."""

import anyio
import pytest
from tokens_helpers import held
from tokens_scenario import LEAD, MONTH, either_loop, eventually

import iop_async as iop

CREATE = "/seller/get"


def executed(scenario, api):
    """How often the gateway has done what a call asked for."""
    return scenario.sandbox.ledger.calls[api, "0"]


@either_loop
async def test_stragglers_with_the_old_token_cause_no_second_refresh(scenario):
    """Their refusals come when the token has long been renewed."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        done = []

        async def call():
            done.append((await tokens.seller("1001").call(CREATE)).request_id)

        scenario.sandbox.fail("latency", api=CREATE, seconds=0.5, after=False, times=10)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call)
            await eventually(lambda: scenario.sandbox.faults.rules[0].hits == 10)
            scenario.live().access_until = scenario.clock.now()
            for _ in range(10):
                tasks.start_soon(call)
        assert len(done) == 20
        assert executed(scenario, CREATE) == 20
        assert scenario.presented() == 1


@pytest.mark.parametrize("idempotent", [None, False, True])
@either_loop
async def test_calls_under_way_when_a_rotation_kills_their_token_are_each_made_once(
    scenario, idempotent
):
    """Fifty of them; the gateway refused them before it did anything, so each is repeated."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        old = scenario.live()
        done = []

        async def call():
            reply = await tokens.seller("1001").call(CREATE, idempotent=idempotent)
            done.append(reply.request_id)

        async with anyio.create_task_group() as tasks:
            scenario.sandbox.fail("latency", api=CREATE, seconds=1, after=False, times=50)
            for _ in range(50):
                tasks.start_soon(call)
            await eventually(lambda: scenario.sandbox.faults.rules[0].hits == 50)
            await tokens.refresh("1001")
        assert not old.access_live
        assert len(set(done)) == 50
        assert executed(scenario, CREATE) == 50
        assert 1 <= scenario.sandbox.ledger.calls[CREATE, "IllegalAccessToken"] <= 50
        assert scenario.presented() == 1


@pytest.mark.parametrize("kind", ["drop", "html", "truncate"])
@either_loop
async def test_a_call_that_failed_otherwise_is_not_repeated(scenario, kind):
    """It may have been applied; whoever asked for it decides."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail(kind, api=CREATE, after=True)
        with pytest.raises(iop.IopError) as caught:
            await tokens.seller("1001").call(CREATE, idempotent=False)
        assert caught.value.may_have_been_applied
        assert sum(n for (api, _), n in scenario.sandbox.ledger.calls.items() if api == CREATE) <= 1
        assert scenario.presented() == 0


@either_loop
async def test_a_refused_token_that_cannot_be_renewed_is_not_tried_again(scenario):
    """The seller must authorize; each call was made once and surfaces that.

    However many there are: one presentation, one more for the second look, and none after that.
    """
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.grants.revoke("123456", "1001")

        async def ask(*, times, is_final):
            for _ in range(times):
                with pytest.raises(iop.ReauthorizationRequired) as caught:
                    await tokens.seller("1001").call(CREATE)
                assert caught.value.retryable == (not is_final)

        await ask(times=4, is_final=False)
        assert scenario.presented() == 1
        scenario.clock.advance(61)
        await ask(times=4, is_final=True)
        assert scenario.presented() == 2
        scenario.clock.advance(3600)
        await ask(times=2, is_final=True)
        assert scenario.presented() == 2
        assert scenario.sandbox.ledger.calls[CREATE, "IllegalAccessToken"] == 10


@either_loop
async def test_calls_with_a_refused_token_keep_to_the_schedule_of_its_refresh(scenario):
    """Nobody's calls present a refresh token oftener than the keeper would."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.live().access_until = scenario.clock.now()
        scenario.sandbox.fail("status", status=502, api="/auth/token/refresh", times=2)
        with pytest.raises(iop.IopError) as caught:
            await tokens.seller("1001").call(CREATE)
        assert caught.value.may_have_been_applied
        for _ in range(3):
            with pytest.raises(iop.TokenError) as caught:
                await tokens.seller("1001").call(CREATE)
            assert 25 < caught.value.retry_after <= 36
        assert scenario.sandbox.faults.rules[0].hits == 1
        scenario.clock.advance(37)
        with pytest.raises(iop.IopError):
            await tokens.seller("1001").call(CREATE)
        for _ in range(3):
            with pytest.raises(iop.RefreshAmbiguous) as caught:
                await tokens.seller("1001").call(CREATE)
            assert 55 < caught.value.retry_after <= 72
        scenario.clock.advance(73)
        await tokens.seller("1001").call(CREATE)
        assert scenario.presented() == 3


@pytest.mark.parametrize("is_over", [True, False], ids=["over", "rejected"])
@either_loop
async def test_a_call_s_timeout_counts_the_wait_for_a_token(scenario, is_over):
    """The call ends unapplied, before its first try or after it; the refresh goes on for others."""
    async with held() as transport:
        client = scenario.client(transport=transport)
        async with scenario.manager(client=client) as tokens:
            await tokens.authorize(scenario.code())
            if is_over:
                scenario.clock.advance(MONTH + LEAD)
            else:
                scenario.live().access_live = False
            with pytest.raises(iop.TransportTimeout, match="time was over") as caught:
                await tokens.seller("1001").call(CREATE, timeout=0.5)
            assert not caught.value.may_have_been_applied
            await eventually(lambda: transport.asked == 1)
            transport.let_go.set()
            await tokens.seller("1001").call(CREATE, timeout=60)
    assert scenario.presented() == executed(scenario, CREATE) == 1


@either_loop
async def test_the_second_try_has_what_is_left_of_a_call_s_timeout(scenario):
    """And a call without a timeout has none at either try."""
    asked = []

    class Noting(iop.HttpxTransport):
        async def send(self, request):
            if request.url.endswith(CREATE):
                asked.append(request.timeout)
            return await super().send(request)

    client = scenario.client(transport=Noting())
    async with scenario.manager(client=client) as tokens:
        await tokens.authorize(scenario.code())
        for timeout in (60, None):
            scenario.live().access_live = False
            await tokens.seller("1001").call(CREATE, timeout=timeout)
        await client._transport.aclose()
    first, second, *others = asked
    assert 0 < second < first <= 60
    assert others == [None, None]
