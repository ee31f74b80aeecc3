"""What a manager says of itself, for probes and metrics."""

import sqlite3
from contextlib import closing, nullcontext

import anyio
import pytest
from tokens_helpers import Outage, WatchedStore
from tokens_scenario import LEAD, MONTH, REFRESH, either_loop, eventually

import iop_async as iop
from iop_async.stores import MemoryStore
from iop_async.tokens import AtStake, _survey


async def surveyed(tokens, condition=lambda survey: True):
    """The health once all grants were counted, and the count is as it should be."""
    with anyio.fail_after(60):
        while True:
            health = await tokens.health()
            if health.survey is not None and condition(health.survey):
                return health
            await anyio.sleep(0.01)


@pytest.fixture(autouse=True)
def counts_often(monkeypatch):
    monkeypatch.setattr(_survey, "_PAUSE_MIN", 0.01)


@either_loop
async def test_a_manager_that_does_its_work_has_no_problems(scenario):
    """It knows its sellers by state, and when the first token ends."""
    async with scenario.manager(keeper=True) as tokens:
        token = await tokens.authorize(scenario.code())
        scenario.clock.advance(60)
        await tokens.authorize(scenario.code("1002"))
        health = await surveyed(tokens, lambda survey: survey.by_state["live"] == 2)
        assert health.is_healthy
        assert (health.keeper, health.store_error, health.held_up_by) == ("running", "", None)
        assert health.nearest_death == token.expires_at
        assert health.overdue == 0
        due = [status.seller_id for status in health.survey.next_refreshes]
        assert due == ["1001", "1002"]
        ending = [status.seller_id for status in health.survey.next_authorize_by]
        assert ending == ["1001", "1002"]
        assert token.refresh_token not in repr(health)


@either_loop
async def test_the_nearest_death_is_that_of_now(scenario):
    """A seller that was refreshed since all were counted does not alarm anybody."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        second = await tokens.authorize(scenario.code("1002"))
        await surveyed(tokens, lambda survey: survey.by_state["live"] == 2)
        tokens._examiner._surveyor._next_at = float("inf")
        scenario.clock.advance(100)
        await tokens.refresh("1001")
        assert (await tokens.health()).nearest_death == second.expires_at
        third = await tokens.refresh("1002")
        first = await tokens.token("1001")
        assert (await tokens.health()).nearest_death == min(first.expires_at, third.expires_at)
        await tokens.forget("1001")
        assert (await tokens.health()).nearest_death == third.expires_at


@either_loop
async def test_more_sellers_than_are_named_are_counted(scenario, monkeypatch):
    """Those that are named are the first of all; the rest is in the counts of hours and days."""
    monkeypatch.setattr(_survey, "_PAGE", 7)
    monkeypatch.setattr(_survey, "_NEAREST_KEPT", 3)
    scenario.sandbox.add_sellers(40)
    async with scenario.manager(MemoryStore()) as tokens:
        ends = []
        for number in range(40):
            ends.append((await tokens.authorize(scenario.code(str(1001 + number)))).expires_at)
            scenario.clock.advance(-60 if number % 2 else 75)
        ends.sort()
        health = await surveyed(tokens, lambda survey: survey.by_state["live"] == 40)
        assert health.nearest_death == ends[0]
        due = [status.refresh_at for status in health.survey.next_refreshes]
        assert len(due) == 20
        assert due == sorted(due)
        assert sum(health.survey.authorize_by.values()) == 0  # 180 days off
        scenario.clock.advance(MONTH - LEAD - 3600)
        health = await surveyed(tokens, lambda survey: sum(survey.refreshes.values()) == 40)
        assert not health.survey.expired


@either_loop
async def test_an_overdue_refresh_and_a_death_are_problems(scenario):
    """Where nobody refreshes in time."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH)
        health = await surveyed(tokens, lambda survey: survey.expired == 1)
        assert health.keeper == "off"
        assert health.overdue == pytest.approx(LEAD, abs=60)
        assert len(health.problems) == 2
        assert "not refreshed in time" in health.problems[1]


@either_loop
async def test_a_dead_store_is_a_problem_and_unpersisted_pairs_are_counted(scenario, tmp_path):
    """The pair is in the journal; without one it would be in memory alone."""
    for journal, words in ((tmp_path / "a.spill", "in the journal"), (None, "do not restart")):
        store = Outage(MemoryStore())
        async with scenario.manager(store, journal=journal) as tokens:
            store.fails = Outage.EVERYTHING
            with nullcontext() if journal else pytest.raises(iop.NotPersisted):
                await tokens.authorize(scenario.code())
            health = await tokens.health()
            store.fails = frozenset()
        assert not health.is_healthy
        assert health.store_error
        assert (health.unpersisted, health.in_memory_only) == (1, int(journal is None))
        assert any(words in problem for problem in health.problems)


@either_loop
async def test_a_record_that_cannot_be_read_is_a_problem_and_hides_no_other(scenario):
    """All others are counted."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        await tokens.authorize(scenario.code("1002"))
        with closing(sqlite3.connect(scenario.path)) as db, db:
            db.execute("UPDATE records SET body = 'torn' WHERE seller = '1002'")
        health = await surveyed(tokens, lambda survey: survey.unreadable)
        assert health.survey.by_state["live"] == 1
        assert health.survey.unreadable in health.problems


@either_loop
async def test_what_holds_up_refreshes_is_named(scenario):
    """An app that the gateway refuses is a person's to mend."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("error", api=REFRESH, code="InvalidAppKey")
        with pytest.raises(iop.ApiError, match="InvalidAppKey"):
            await tokens.refresh("1001")
        health = await tokens.health()
        assert health.held_up_by == "app"
        assert any("the app itself" in problem for problem in health.problems)


@either_loop
async def test_a_keeper_that_does_not_see_the_store_is_stalled(scenario):
    """Though its task lives, and the store answers others."""
    store = Outage(MemoryStore(), fails={"claim"})
    async with scenario.manager(store, keeper=True) as tokens:
        await eventually(lambda: "claim" in store.failed)
        scenario.clock.advance(400)
        health = await tokens.health()
        assert health.keeper == "stalled"
        assert "the keeper has not seen the store" in health.problems[0]


async def test_health_is_of_a_manager_that_runs(scenario):
    async with scenario.manager() as tokens:
        pass
    with pytest.raises(RuntimeError, match="not running here"):
        await tokens.health()


@either_loop
async def test_what_is_at_stake_is_known_until_the_end(scenario):
    """A refresh that closing waits for, and a pair that nothing took."""
    store = Outage(MemoryStore())

    async def fail_from_now_on(written):
        if written == "intent":
            store.fails = Outage.EVERYTHING

    watched = WatchedStore(store, after=fail_from_now_on)
    async with scenario.manager(watched) as tokens:
        assert tokens.at_stake == AtStake()
        await tokens.authorize(scenario.code())
        scenario.sandbox.fail("latency", api=REFRESH, seconds=0.3)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.refresh, "1001")
            await eventually(lambda: store.fails)
            tasks.start_soon(tokens.aclose)
            await anyio.sleep(0.05)
            assert tokens.at_stake == AtStake(("1001",), ())
        assert tokens.at_stake == AtStake((), ("1001",))
