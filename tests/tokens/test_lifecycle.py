"""Tasks, cancellation, event loops, shutdown."""

import asyncio
import copy
import os
import pickle
from datetime import timedelta

import anyio
import pytest
import pytest_asyncio
from attrs import evolve
from tokens_helpers import LEASE, Between
from tokens_scenario import MONTH, REFRESH, either_loop, eventually

import iop_async as iop
from iop_async.tokens import _batch


async def test_cancelling_every_waiter_neither_stops_nor_repeats_a_refresh(scenario):
    """The manager owns the refresh; it completes and persists."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 1)
        scenario.sandbox.fail("latency", seconds=0.5, api=REFRESH)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await tokens.token("1001")
        await eventually(lambda: scenario.presented() == 1)
        token = await tokens.token("1001")
        assert token.access_token == scenario.live().access_token
        assert scenario.presented() == 1


@either_loop
async def test_one_impatient_waiter_does_not_disturb_the_others(scenario):
    """A tenth of a second, and the other nine get their token."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 1)
        scenario.sandbox.fail("latency", seconds=0.5, api=REFRESH)
        served = []

        async def ask(seconds):
            with anyio.move_on_after(seconds):
                served.append((await tokens.token("1001")).access_token)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, 0.1)
            for _ in range(9):
                tasks.start_soon(ask, 10)
        assert served == [scenario.live().access_token] * 9
        assert scenario.presented() == 1


@either_loop
async def test_closing_drains_what_is_under_way(scenario):
    """Fifty refreshes: all of them stored."""
    scenario.sandbox.add_sellers(50)
    async with scenario.manager(concurrency=50, lease_seconds=60) as tokens:
        for seller in scenario.sandbox.sellers:
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH - 60 * 20)
        scenario.sandbox.fail("latency", seconds=0.3, api=REFRESH, times=None)
        for seller in scenario.sandbox.sellers:
            await tokens.token(seller)
    store = scenario.store()
    async with scenario.manager(store) as tokens:
        for seller in scenario.sandbox.sellers:
            token = await tokens.token(seller)
            assert token.access_token == scenario.live(seller).access_token
    assert scenario.presented() == 53


@either_loop
async def test_what_is_not_drained_is_left_as_an_intent_and_named(scenario, caplog):
    """A log line says whose; the next start probes once."""
    async with scenario.manager(drain_seconds=0.2, lease_seconds=LEASE) as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - 120)
        scenario.sandbox.fail("latency", seconds=2, api=REFRESH, after=False)
        await tokens.token("1001")
        await eventually(lambda: scenario.sandbox.faults.rules[0].hits == 1)
    assert "1001" in caplog.text
    async with scenario.manager(keeper=True) as tokens:
        events = tokens.events()
        with anyio.fail_after(60):
            assert (await anext(events)).kind in ("refreshed", "ambiguous")


@either_loop
async def test_a_listener_that_does_not_listen_delays_nobody(scenario):
    """The oldest events go first, and are counted."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        for _ in range(1_010):
            events.push(object())
        await tokens.refresh("1001")
        assert events.missed >= 10


@pytest_asyncio.fixture
async def tokens(scenario):
    """Entered in one task, left in another."""
    async with scenario.manager(keeper=True) as manager:
        yield manager


async def test_a_manager_works_in_a_fixture(tokens, scenario):
    """Like any other."""
    await tokens.authorize(scenario.code())
    assert (await tokens.token("1001")).access_token == scenario.live().access_token


def test_one_manager_may_run_in_two_event_loops_one_after_the_other(scenario):
    """No primitive is bound to a loop that is gone."""

    async def main(tokens, code):
        async with tokens:
            if code:
                await tokens.authorize(code)
            scenario.clock.advance(MONTH + 1)
            return (await tokens.token("1001")).access_token

    store = scenario.store()
    client = scenario.client()
    tokens = iop.TokenManager(client, store, clock=scenario.clock, keeper=False)

    async def whole(code):
        async with client:
            return await main(tokens, code)

    first = anyio.run(whole, scenario.code())
    second = anyio.run(whole, None)
    third = anyio.run(whole, None, backend="trio")
    anyio.run(store.aclose)
    assert len({first, second, third}) == 3
    assert third == scenario.live().access_token


@either_loop
async def test_a_manager_is_neither_entered_twice_nor_used_before(scenario):
    """Clear errors."""
    manager = iop.TokenManager(scenario.client(), scenario.store())
    with pytest.raises(RuntimeError, match="not running here"):
        await manager.refresh_due() if False else manager._lifecycle.here
    async with scenario.manager() as tokens:
        with pytest.raises(RuntimeError, match="already running"):
            await tokens.__aenter__()


@either_loop
async def test_a_manager_that_two_tasks_enter_at_once_is_entered_by_one(scenario):
    """The other gets a clear error, and neither runs two keepers."""
    store = scenario.store()
    manager = iop.TokenManager(scenario.client(), store, clock=scenario.clock)
    outcomes = []

    async def enter():
        try:
            outcomes.append(await manager.__aenter__())
        except RuntimeError as error:
            outcomes.append(str(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        tasks.start_soon(enter)
    assert manager in outcomes
    assert "this token manager is already running" in outcomes
    await manager.aclose()
    await store.aclose()


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_manager_is_not_pickled_or_copied(scenario, duplicate):
    """It holds secrets and tasks."""
    with pytest.raises(TypeError, match="not pickled or copied"):
        duplicate(iop.TokenManager(scenario.client(), scenario.store()))


async def test_a_child_process_does_not_share_the_parent_s_refreshes(scenario):
    """After a fork the manager is not running; the parent's goes on."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        pid = os.fork()
        if pid == 0:
            try:
                tokens._lifecycle.here  # noqa: B018
            except RuntimeError:
                os._exit(0)
            os._exit(1)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        await tokens.refresh("1001")


@either_loop
async def test_refresh_due_goes_on_behind_sellers_that_are_due_again(scenario, monkeypatch):
    """Those that failed die first, and fill a page by the time that it is claimed."""
    for name in ("_FIRST_PAGE", "_LAST_PAGE"):
        monkeypatch.setattr(_batch, name, 2)
    tries = 0

    async def fail_twice(go_on):
        nonlocal tries
        tries += 1
        scenario.clock.advance(60)
        if tries <= 2:
            raise iop.TransportError("no way", may_have_been_applied=False)
        return await go_on()

    transport = Between(fail_twice)
    client = scenario.client(transport=transport)
    async with scenario.manager(client=client, concurrency=1, lease_seconds=15) as tokens:
        scenario.sandbox.add_sellers(3)
        sellers = scenario.sandbox.sellers
        for hours, seller in enumerate(sellers, start=1):
            token = await tokens.authorize(scenario.code(seller))
            end = scenario.clock.now() + timedelta(hours=hours)
            await tokens.import_token(evolve(token, expires_at=end))
        scenario.clock.advance(8 * 3600)
        report = await tokens.refresh_due()
        assert sorted([*report.refreshed, *report.failed]) == sorted(sellers)
        assert len(report.failed) == 2
    assert scenario.presented() == 4
    await transport.aclose()
