"""What was received is kept, whoever stops waiting for it, and is served to nobody else."""

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from tokens_helpers import WatchedStore, failing
from tokens_scenario import either_loop

import iop_async as iop
from iop_async.stores import MemoryStore
from iop_async.tokens._transitions import intending, renewed


def pair(name, *sellers):
    now = datetime.now(UTC)
    return iop.Token(
        access_token=f"access of {name}",
        refresh_token=f"refresh of {name}",
        issued_at=now,
        expires_at=now + timedelta(days=30),
        refresh_expires_at=now + timedelta(days=180),
        sellers=tuple(iop.Seller(seller_id=seller) for seller in sellers),
    )


def slow(kind, seconds):
    async def wait(written):
        if written == kind:
            await anyio.sleep(seconds)

    return wait


@either_loop
async def test_closing_waits_until_a_pair_is_written(scenario):
    """However soon it is to be over: the refresh token is spent."""
    store = WatchedStore(scenario.store(), before=slow("outcome", 0.5))
    async with anyio.create_task_group() as tasks:
        async with scenario.manager(store, drain_seconds=0.1) as tokens:
            store.before = None
            await tokens.authorize(scenario.code())
            store.before = slow("outcome", 0.5)
            tasks.start_soon(tokens.refresh, "1001")
            while scenario.presented() == 0:
                await anyio.sleep(0.01)
            await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).refresh_token == scenario.live().refresh_token


@either_loop
async def test_what_the_store_did_not_take_is_offered_once_more_at_the_end(scenario):
    """There may be no journal, and no other chance."""
    kept = MemoryStore()
    store = WatchedStore(kept)
    async with scenario.manager(store) as tokens:
        await tokens.authorize(scenario.code())
        store.before = failing(1)
        await tokens.refresh("1001")
        assert not (await tokens.status("1001")).is_persisted
    assert scenario.live().refresh_token.encode() in (await kept.get(tokens.scope, "1001")).body


@either_loop
async def test_a_grant_is_kept_although_who_brought_its_code_has_gone(scenario):
    """The code is spent, and only the seller could give another."""
    store = WatchedStore(scenario.store(), before=slow("outcome", 0.3))
    async with scenario.manager(store) as tokens:
        with anyio.move_on_after(0.15) as patience:
            await tokens.authorize(scenario.code())
        assert patience.cancelled_caught
        while not store.written:
            await anyio.sleep(0.01)
        assert (await tokens.status("1001")).generation == 1
        assert (await tokens.token("1001")).refresh_token == scenario.live().refresh_token


@either_loop
async def test_a_grant_survives_a_bug_of_somebody_s_store(scenario):
    """It is in memory and in the journal, as a refreshed pair would be."""

    async def break_down(kind):
        raise LookupError(kind)

    store = WatchedStore(scenario.store(), before=break_down)
    async with scenario.manager(store) as tokens:
        token = await tokens.authorize(scenario.code())
        store.before = None
        assert (await tokens.token("1001")).access_token == token.access_token
    async with scenario.manager() as tokens:
        assert (await tokens.token("1001")).access_token == token.access_token


@either_loop
async def test_a_seller_is_served_no_token_that_others_took_over(scenario):
    """Its own goes on, also where this process remembers it under the other's name."""
    store = MemoryStore()
    async with scenario.manager(store) as tokens, scenario.manager(store) as other:
        await tokens.import_token(pair("both", "1001", "1002"))
        assert (await tokens.token("1002")).access_token == "access of both"
        await other.import_token(pair("one alone", "1001"))
        with pytest.raises(iop.ReauthorizationRequired):  # the gateway never gave out this one
            await tokens.refresh("1002")
        assert (await tokens.token("1002")).access_token == "access of both"
        await tokens.import_token(pair("other two", "1003", "1001"))
        assert (await tokens.token("1002")).access_token == "access of both"
        assert (await tokens.token("1001")).access_token == "access of other two"


@either_loop
async def test_a_late_pair_is_kept_however_often_the_record_moves_meanwhile(scenario):
    """Between a refused write and the next one others may write again."""
    store = WatchedStore(MemoryStore())
    now = scenario.clock.now()
    async with scenario.manager(store) as late, scenario.manager(store) as winner:
        await late.import_token(pair("first", "1001"))
        ours, theirs = late._vault, winner._vault
        grant = await ours.lease(await ours.load("1001"))
        grant = await ours.intend(intending(grant, now, ours.leases.holder))
        taken = intending(await theirs.load("1001"), now, theirs.leases.holder)
        won = renewed(await theirs.intend(taken), pair("winner", "1001"))
        await theirs.keep(won, before=taken)
        tries = iter([False, True])

        async def meddle(kind):
            if next(tries, False):
                again = intending(await theirs.load("1001"), now, theirs.leases.holder)
                store.before = None
                await theirs.intend(again)

        store.before = meddle
        lost = renewed(grant, pair("late", "1001"))
        await ours.keep(lost, before=grant)
        stored = await ours.load("1001")
    assert stored.token.refresh_token == "refresh of winner"
    assert [each.refresh_token for each in stored.candidates] == ["refresh of late"]
    assert stored.intent is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"role": "folower"}, "role is 'folower'"),
        ({"on_store_failure": "go_on"}, "on_store_failure is 'go_on'"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"drain_seconds": -1}, "drain_seconds"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
async def test_a_manager_that_could_not_do_what_it_says_is_refused(scenario, options, words):
    """A follower by a misspelt name would present refresh tokens."""
    async with scenario.client() as client:
        with pytest.raises(ValueError, match=words):
            iop.TokenManager(client, MemoryStore(), **options)
