"""Pairs that came too late to be the newest in the store, and may be the live ones all the same."""

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations

import anyio
from tokens_helpers import SHORT, Between, cut_off
from tokens_scenario import LEAD, MONTH, REFRESH, each_store, eventually

import iop_async as iop
from iop_async._refresh import RefreshPolicy
from iop_async.tokens._grant import Grant, refresh_at
from iop_async.tokens._grant_json import from_record, to_record
from iop_async.tokens._transitions import finished, promoted, with_candidate


async def overtaken(shared, slow, quick):
    """Both hosts present one refresh token; what ``slow`` got later is the gateway's live pair.

    Such is a gateway that answers a repeated refresh with one more pair. The order in which it
    made the pairs is not the order in which they come to the store.
    """
    shared.sandbox.grants.rotation = "keep"
    shared.sandbox.fail("latency", api=REFRESH, seconds=3 * SHORT, after=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow.refresh, "1001")
        await eventually(lambda: shared.sandbox.faults.rules[0].hits)
        stored = await quick.refresh("1001")
    assert stored.refresh_token != shared.live().refresh_token
    assert (await quick.token("1001")).refresh_token == stored.refresh_token
    shared.sandbox.grants.rotation = "single_use"
    spent = shared.sandbox.grants.find_refresh(stored.refresh_token)
    spent.refresh_live = spent.access_live = False
    return shared.live().refresh_token


async def pairs_of(shared, scope):
    """The refresh tokens that the store has: the newest, and those put aside."""
    store = shared.store()
    record = await store.get(scope, "1001")
    await store.aclose()
    body = json.loads(record.body)
    return [pair["refresh_token"] for pair in (body["token"], *body["candidates"])]


@each_store
async def test_the_live_pair_of_a_late_holder_is_kept_aside_and_found(shared):
    """The stored one is refused; the other is tried at once, and nobody must authorize."""
    async with (
        cut_off(shared, lambda go_on: go_on()) as slow,
        shared.manager() as quick,
        shared.manager() as third,
    ):
        await quick.authorize(shared.code())
        live = await overtaken(shared, slow, quick)
        assert (await pairs_of(shared, quick.scope))[1:] == [live]
        shared.clock.advance(MONTH - LEAD + 60)
        new = await third.refresh("1001")
        assert new.refresh_token == shared.live().refresh_token
        assert await pairs_of(shared, quick.scope) == [new.refresh_token]
        for host in (slow, quick, third):
            assert (await host.status("1001")).state == "live"
    assert [entry.accepted for entry in shared.sandbox.ledger.refreshes[2:]] == [False, True]


@each_store
async def test_the_keeper_finds_the_live_pair_by_itself(shared):
    """Without anybody who asks, and without an event that calls for the seller."""
    async with cut_off(shared, lambda go_on: go_on()) as slow, shared.manager() as quick:
        await quick.authorize(shared.code())
        await overtaken(shared, slow, quick)
    shared.clock.advance(MONTH - LEAD + 60)
    async with shared.manager(keeper=True) as keeping:
        events = keeping.events()
        await eventually(lambda: shared.presented() == 4)
        assert (await anext(events)).kind == "refreshed"
        assert (await keeping.token("1001")).refresh_token == shared.live().refresh_token


@each_store
async def test_a_call_that_is_refused_finds_the_live_pair(shared):
    """The access token of the stored pair is as dead as its refresh token."""
    async with cut_off(shared, lambda go_on: go_on()) as slow, shared.manager() as quick:
        await quick.authorize(shared.code())
        await overtaken(shared, slow, quick)
        await quick.seller("1001").call("/seller/get")
        assert (await quick.token("1001")).refresh_token == shared.live().refresh_token


NOW = datetime(2026, 1, 31, tzinfo=UTC)


def a_pair(name, *, age, seller="1001", refresh_token=True):
    return iop.Token(
        access_token=f"a-{name}",
        refresh_token=f"r-{name}" if refresh_token else None,
        issued_at=NOW - timedelta(minutes=age),
        expires_at=NOW + timedelta(days=29),
        sellers=(iop.Seller(seller_id=seller),),
    )


PAIRS = [
    a_pair("old", age=30),
    a_pair("new", age=10),
    a_pair("others", age=1, seller="1002"),
    a_pair("middle", age=20),
    a_pair("no refresh token", age=0, refresh_token=False),
]


def test_the_newest_is_tried_first_and_none_of_another_seller():
    """In whatever order they came; what is another seller's stays aside to the end."""
    for pairs in permutations(PAIRS):
        grant = Grant(
            scope="s", seller_id="1001", seller_ids=("1001",), token=a_pair("stored", age=40)
        )
        for pair in pairs:
            grant = with_candidate(grant, pair)
        assert grant.token.access_token == "a-stored"
        tried = []
        while (following := promoted(grant, NOW)) is not None:
            assert (following.wanted_at, following.state) == (NOW, "live")
            assert following.generation == grant.generation + 1
            tried.append(following.token.access_token)
            grant = following
        assert tried == ["a-new", "a-middle", "a-old"]
        assert {one.access_token for one in grant.candidates} == {"a-others", "a-no refresh token"}


def test_a_pair_that_comes_when_all_others_were_refused_is_tried_at_once():
    """The seller is asked for nothing more before that."""
    grant = Grant(scope="s", seller_id="1001", seller_ids=("1001",), token=a_pair("stored", age=40))
    refused = finished(grant, "refused")
    live = with_candidate(refused, a_pair("new", age=10))
    assert (live.state, live.token.access_token) == ("live", "a-new")
    assert refresh_at(live, RefreshPolicy()) == live.token.issued_at
    kept = with_candidate(refused, a_pair("others", age=10, seller="1002"))
    assert (kept.state, len(kept.candidates)) == ("reauthorize", 1)


@each_store
async def test_a_pair_put_aside_while_another_is_refused_is_tried(shared):
    """The answer to the refused one is written over a record that has another pair since."""
    store = shared.store()
    transport = Between(None)

    async def put_aside(go_on):
        transport.answer = None
        record = await store.get(tokens.scope, "1001")
        await store.put(to_record(with_candidate(from_record(record), live), due_at=record.due_at))
        return await go_on()

    async with shared.manager(client=shared.client(transport=transport)) as tokens:
        first = await tokens.authorize(shared.code())
        shared.sandbox.grants.rotation = "keep"
        second = await tokens.refresh("1001")
        async with shared.client() as client:
            live = await iop.auth.refresh_token(client, refresh_token=first.refresh_token)
        shared.sandbox.grants.rotation = "single_use"
        spent = shared.sandbox.grants.find_refresh(second.refresh_token)
        spent.refresh_live = spent.access_live = False
        transport.answer = put_aside
        new = await tokens.refresh("1001")
        assert new.refresh_token == shared.live().refresh_token
        assert (await tokens.status("1001")).state == "live"
    await transport.aclose()
    await store.aclose()
