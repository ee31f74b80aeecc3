"""The store cannot be reached and gives no lease: a manager waits or goes on, as it was told."""

import json
from contextlib import asynccontextmanager

import anyio
import pytest
from tokens_helpers import Outage, hanging
from tokens_scenario import (
    LEAD,
    MONTH,
    SECOND_LOOK,
    each_store,
    either_loop,
    eventually,
    kinds,
)

import iop_async as iop
from iop_async.stores import SpillJournal


@asynccontextmanager
async def due(shared, **options):
    """A manager with a seller whose token is due, and its store, which has just failed."""
    store = Outage(shared.store())
    options.setdefault("journal", journal(shared))
    async with shared.manager(store, **options) as tokens:
        await tokens.authorize(shared.code())
        shared.clock.advance(MONTH - LEAD + 60)
        store.fails = Outage.EVERYTHING
        yield tokens, store


def journal(shared):
    return shared.path.with_name("own.spill")


async def journalled(shared):
    return [json.loads(record.body) for record in await SpillJournal(journal(shared)).records()]


@each_store
async def test_who_waits_serves_the_old_token_and_presents_nothing(shared):
    """Whoever asks expressly gets the store's error; when the token is over, everybody does."""
    async with due(shared) as (tokens, store):
        old = await tokens.token("1001")
        for _ in range(3):
            assert (await tokens.token("1001")).access_token == old.access_token
            await tokens.seller("1001").call("/seller/get")
        with pytest.raises(iop.StoreError):
            await tokens.refresh("1001")
        with pytest.raises(iop.StoreError):
            await tokens.refresh_due()
        shared.clock.advance(LEAD)
        with pytest.raises(iop.StoreError):
            await tokens.token("1001")
        assert shared.presented() == 0
        assert await journalled(shared) == []
        store.fails = frozenset()
        assert (await tokens.token("1001")).refresh_token == shared.live().refresh_token
        assert (await tokens.status("1001")).is_persisted
    assert shared.presented() == 1


@each_store
async def test_who_waits_presents_nothing_where_only_leases_fail(shared):
    """Reading and writing work, so that nothing but the missing lease holds it back."""
    async with due(shared) as (tokens, store):
        store.fails = {"lease"}
        with pytest.raises(iop.StoreError):
            await tokens.refresh("1001")
        assert shared.presented() == 0
        store.fails = frozenset()
        await tokens.refresh("1001")


@each_store
async def test_who_waits_refreshes_by_itself_when_the_store_is_back(shared):
    """The keeper has only looked, again and again; nobody must tell it."""
    async with due(shared, keeper=True, lease_seconds=0.5) as (tokens, store):
        events = tokens.events()
        shared.clock.advance(60)
        while "error" not in await kinds(events, 1):
            pass
        assert shared.presented() == 0
        store.fails = frozenset()
        with anyio.fail_after(60):
            while not shared.presented():
                shared.clock.advance(1)
                await anyio.sleep(0.02)
        while "refreshed" not in await kinds(events, 1):
            pass
        assert (await tokens.status("1001")).is_persisted
    assert shared.presented() == 1


@pytest.mark.parametrize("method", ["claim", "next_due", "put"])
@either_loop
async def test_no_failure_of_the_store_ends_the_keeper(scenario, method):
    """Whichever of its questions meets it, and however often: it goes on when that is over."""
    store = Outage(scenario.store(), {method})
    async with (
        scenario.manager(store, keeper=True, lease_seconds=0.5),
        scenario.manager() as other,
    ):
        await other.authorize(scenario.code("1001"))
        scenario.clock.advance(MONTH - LEAD + 60)
        await eventually(lambda: method in store.failed)
        await anyio.sleep(0.5)  # time enough to meet it again
        store.fails = frozenset()
        await other.authorize(scenario.code("1002"))
        scenario.clock.advance(MONTH - LEAD + 60)
        with anyio.fail_after(60):
            while (await other.status("1002")).generation == 1:
                scenario.clock.advance(1)
                await anyio.sleep(0.02)


@each_store
async def test_who_goes_on_says_so_and_keeps_everything_in_the_journal(shared, caplog):
    """The intent before the refresh token is presented, the pair after; the store gets it later."""
    async with due(shared, on_store_failure="journal") as (tokens, store):
        events = tokens.events()
        new = await tokens.refresh("1001")
        assert "gives no lease on seller 1001; going on alone" in caplog.text
        assert await kinds(events, 2) == ["unpersisted", "refreshed"]
        assert new.refresh_token == shared.live().refresh_token
        assert (await tokens.token("1001")).access_token == new.access_token
        kept = await journalled(shared)
        assert kept[-1]["token"]["refresh_token"] == new.refresh_token
        assert not (await tokens.status("1001")).is_persisted
        store.fails = frozenset()
        newer = await tokens.refresh("1001")
        assert newer.refresh_token == shared.live().refresh_token
        await tokens._vault.flush()
        assert await journalled(shared) == []
    async with shared.manager() as other:
        assert (await other.token("1001")).access_token == newer.access_token
        assert (await other.status("1001")).generation == 3
    presented = [entry.token for entry in shared.sandbox.ledger.refreshes]
    assert len(presented) == len(set(presented)) == 2


@each_store
async def test_the_keeper_of_who_goes_on_writes_to_the_store_when_that_is_back(shared):
    """Nobody asks for it; another host then finds the pair."""
    options = {"on_store_failure": "journal", "keeper": True, "lease_seconds": 0.5}
    async with due(shared, **options) as (tokens, store):
        await tokens.refresh("1001")
        store.fails = frozenset()
        with anyio.fail_after(60):
            while not (await tokens.status("1001")).is_persisted:
                shared.clock.advance(1)
                await anyio.sleep(0.02)
        async with shared.manager() as other:
            assert (await other.token("1001")).refresh_token == shared.live().refresh_token
        await eventually(lambda: not journal(shared).read_bytes())
    assert shared.presented() == 1


@pytest.mark.parametrize("consumed", [False, True])
@each_store
async def test_an_intent_that_only_the_journal_has_is_taken_up_at_the_next_start(shared, consumed):
    """The process died between presenting and the answer; its successor probes once."""
    transport, presenting = hanging(consumed=consumed)
    client = shared.client(transport=transport)
    async with (
        due(shared, on_store_failure="journal", client=client, drain_seconds=0) as (tokens, _),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(tokens.refresh, "1001")
        await presenting.wait()
        tasks.cancel_scope.cancel()
    await transport.aclose()
    assert (await journalled(shared))[-1]["intent"]["presentations"] == 1
    async with shared.manager(journal=journal(shared)) as tokens:
        events = tokens.events()
        assert (await tokens.status("1001")).is_unanswered
        report = await tokens.refresh_due()
        if consumed:
            assert list(report.skipped) == ["1001"]
            assert await kinds(events, 1) == ["ambiguous"]
            await tokens.refresh_due()
            shared.clock.advance(SECOND_LOOK)
            assert list((await tokens.refresh_due()).skipped) == ["1001"]
            assert await kinds(events, 1) == ["reauthorize"]
            await tokens.refresh_due()
        else:
            assert report.refreshed == ("1001",)
            assert (await tokens.token("1001")).refresh_token == shared.live().refresh_token
        assert await journalled(shared) == []
    assert shared.presented() == (3 if consumed else 1)


@each_store
async def test_an_intent_that_only_the_journal_has_is_in_the_store_when_that_is_read_again(shared):
    """The store is back, and somebody looks at it, while the refresh token is on its way."""
    transport, presenting = hanging(consumed=True)
    client = shared.client(transport=transport)
    async with (
        due(shared, on_store_failure="journal", client=client, drain_seconds=0) as (tokens, store),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(tokens.refresh, "1001")
        await presenting.wait()
        store.fails = frozenset()
        assert (await tokens.status("1001")).is_unanswered
        async with shared.manager() as other:
            assert (await other.status("1001")).is_unanswered
        tasks.cancel_scope.cancel()
    await transport.aclose()


@each_store
async def test_hosts_that_went_on_apart_lose_nothing_and_agree_when_the_store_is_back(shared):
    """At most one call is refused; who has the dead pair takes the live one from the store."""
    first, second = Outage(shared.store()), Outage(shared.store())
    apart = {"on_store_failure": "journal", "keeper": False}
    async with (
        shared.manager(first, journal=shared.path.with_name("a.spill"), **apart) as one,
        shared.manager(second, journal=shared.path.with_name("b.spill"), **apart) as other,
    ):
        await one.authorize(shared.code())
        await other.token("1001")
        shared.clock.advance(MONTH - LEAD + 60)
        first.fails = second.fails = Outage.EVERYTHING
        new = await one.refresh("1001")
        with pytest.raises(iop.ReauthorizationRequired):
            await other.refresh("1001")
        first.fails = second.fails = frozenset()
        for host in (other, one):
            await host._vault.flush()
        for host in (one, other):
            assert (await host.token("1001")).refresh_token == new.refresh_token
            assert (await host.status("1001")).state == "live"
        assert (await other.refresh("1001")).refresh_token == shared.live().refresh_token
    assert [entry.accepted for entry in shared.sandbox.ledger.refreshes] == [True, False, True]


@either_loop
async def test_who_is_to_go_on_needs_a_journal(scenario):
    """Which a store on another machine does not have beside it."""
    store = Outage(scenario.store())
    store.path = None
    with pytest.raises(ValueError, match="there must be a journal"):
        async with scenario.manager(store, on_store_failure="journal"):
            pass
