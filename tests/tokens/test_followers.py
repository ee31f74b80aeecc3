"""Managers that follow: they read, wait and ask, and never present a refresh token."""

from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from attrs import evolve
from tokens_helpers import Between, Outage
from tokens_scenario import (
    LEAD,
    MONTH,
    REFRESH,
    SECOND_LOOK,
    each_store,
    either_loop,
    eventually,
)

import iop_async as iop
from iop_async.tokens import _follower


@asynccontextmanager
async def both(shared, store=None, **options):
    """A peer and a follower, which know one seller."""
    async with (
        shared.manager(**options) as peer,
        shared.manager(store, role="follower", keeper=True) as follower,
    ):
        await peer.authorize(shared.code())
        await follower.token("1001")
        yield peer, follower


@pytest.fixture
def impatient(monkeypatch):
    """Followers that wait for a moment only."""
    monkeypatch.setattr(_follower, "_FOLLOW_TIMEOUT", 0.3)


@each_store
async def test_a_follower_waits_for_the_peer_that_refreshes(shared):
    """A token that is over is served as soon as its successor is stored."""
    async with both(shared) as (peer, follower):
        shared.clock.advance(MONTH + 60)
        shared.sandbox.fail("latency", api=REFRESH, seconds=0.2)
        served = []

        async def follow():
            served.append((await follower.token("1001")).access_token)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(follow)
            await eventually(lambda: "1001" in follower._lifecycle.here.flights)
            await peer.refresh("1001")
        assert set(served) == {shared.live().access_token}
    assert shared.presented() == 1


@each_store
async def test_a_follower_asks_peers_for_a_token_that_is_not_due(shared):
    """Their keeper finds the wish in the store; many that ask cost one refresh."""
    async with both(shared, keeper=True) as (_, follower):
        old = await follower.token("1001")
        served = []

        async def follow():
            served.append((await follower.refresh("1001")).refresh_token)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(follow)
            await eventually(lambda: "1001" in follower._lifecycle.here.flights)
            while not shared.presented():
                await anyio.sleep(0.02)
                shared.clock.advance(5)  # peers look every ten seconds
        assert set(served) == {shared.live().refresh_token}
        assert old.refresh_token not in served
    assert shared.presented() == 1


@each_store
async def test_a_follower_s_refused_calls_are_repeated_with_what_a_peer_refreshed(shared):
    """Twenty at once: one refresh, by the peer, and each call is made once."""
    async with both(shared) as (peer, follower):
        shared.live().access_until = shared.clock.now()
        done = []

        async def call():
            done.append((await follower.seller("1001").call("/seller/get")).request_id)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call)
            with anyio.fail_after(60):
                while not (await peer.refresh_due()).refreshed:
                    await anyio.sleep(0.02)
        assert len(set(done)) == 20
    assert shared.presented() == 1


@each_store
async def test_a_follower_without_peers_gives_up_with_an_error_that_says_why(shared, impatient):
    """Retryable; it has presented nothing, and its wish is there for the peer that comes."""
    async with shared.manager(role="follower", keeper=True) as follower:
        old = await follower.authorize(shared.code())
        with pytest.raises(
            iop.TokenError, match=r"no other process refreshed .*follower"
        ) as caught:
            await follower.refresh("1001")
        assert caught.value.retryable
        assert (await follower.token("1001")).access_token == old.access_token
        assert shared.presented() == 0
        async with shared.manager() as peer:
            assert (await peer.refresh_due()).refreshed == ("1001",)
        assert (await follower.refresh("1001")).refresh_token == shared.live().refresh_token
        shared.clock.advance(MONTH + 60)
        with pytest.raises(iop.TokenError, match="follower"):
            await follower.token("1001")
    assert shared.presented() == 1


@each_store
async def test_a_follower_says_at_once_what_no_peer_can_change(shared):
    """Ambiguous, refused, forgotten: the errors that a peer gives."""
    async with both(shared) as (peer, follower):
        shared.clock.advance(MONTH - LEAD + 60)
        shared.live().refresh_live = False
        for _ in range(2):
            with pytest.raises(iop.ReauthorizationRequired, match="IllegalRefreshToken"):
                await peer.refresh("1001")
            with pytest.raises(iop.ReauthorizationRequired, match="IllegalRefreshToken"):
                await follower.refresh("1001")
            shared.clock.advance(SECOND_LOOK)
        assert (await peer.status("1001")).state == "reauthorize"
        await peer.authorize(shared.code())
        shared.sandbox.fail("html", api=REFRESH, times=None)
        for _ in range(2):
            with pytest.raises(iop.IopError):
                await peer.refresh("1001")
        with pytest.raises(iop.RefreshAmbiguous):
            await follower.refresh("1001")
        await peer.forget("1001")
        with pytest.raises(iop.ReauthorizationRequired, match=r"forgotten|never authorized"):
            await follower.refresh("1001")


@each_store
async def test_what_a_follower_authorizes_is_kept_although_the_store_fails_for_a_moment(shared):
    """It is served at once, and written by the follower itself when the store is back."""
    store = Outage(shared.store())
    options = {"journal": shared.path.with_name("own.spill"), "lease_seconds": 0.5}
    async with (
        shared.manager(store, role="follower", keeper=True, **options) as follower,
        shared.manager() as peer,
    ):
        store.fails = Outage.EVERYTHING
        token = await follower.authorize(shared.code())
        assert (await follower.token("1001")).access_token == token.access_token
        assert not (await follower.status("1001")).is_persisted
        with pytest.raises(iop.ReauthorizationRequired):
            await peer.token("1001")
        store.fails = frozenset()
        with anyio.fail_after(60):
            while not (await follower.status("1001")).is_persisted:
                await anyio.sleep(0.02)
                shared.clock.advance(10)
        assert (await peer.token("1001")).access_token == token.access_token
    assert shared.presented() == 0


@either_loop
async def test_a_follower_refuses_to_refresh_what_is_due(scenario):
    """In words that say who does; and nothing is presented by time passing."""
    async with scenario.manager(role="follower", keeper=True, drain_seconds=0) as follower:
        await follower.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD + 60)
        with pytest.raises(RuntimeError, match="is a follower, which refreshes nothing"):
            await follower.refresh_due()
        await anyio.sleep(0.5)  # time enough for a keeper
        await follower.token("1001")
    assert scenario.presented() == 0


@either_loop
async def test_a_follower_that_only_waits_closes_at_once(scenario):
    """It has presented nothing, so that there is no answer to wait for."""
    async with both(scenario) as (_, follower), anyio.create_task_group() as tasks:
        ended = []

        async def follow():
            with pytest.raises(iop.TokenError, match="closed meanwhile"):
                await follower.refresh("1001")
            ended.append(True)

        tasks.start_soon(follow)
        await eventually(lambda: "1001" in follower._lifecycle.here.flights)
        with anyio.fail_after(20):
            await follower.aclose()
        await eventually(lambda: ended)


@either_loop
async def test_a_follower_writes_nothing_while_a_peer_refreshes(scenario):
    """The peer has written its intent and waits for its turn: it must not take it for lost."""
    reached, go_on = anyio.Event(), anyio.Event()

    async def hold(on):
        answer = await on()
        if not reached.is_set():
            reached.set()
            await go_on.wait()
        return answer

    transport = Between(hold)
    peer_options = {"client": scenario.client(transport=transport), "concurrency": 1}
    async with (
        scenario.manager(lease_seconds=0.6, **peer_options) as peer,
        scenario.manager(role="follower") as follower,
        anyio.create_task_group() as tasks,
    ):
        for seller in ("1001", "1002"):
            await peer.authorize(scenario.code(seller))
        events = peer.events()
        tasks.start_soon(peer.refresh, "1002")
        await reached.wait()
        tasks.start_soon(peer.refresh, "1001")
        with anyio.fail_after(60):
            while not (await follower.status("1001")).is_unanswered:
                await anyio.sleep(0.01)
        tasks.start_soon(follower.refresh, "1001")
        await anyio.sleep(0.6)  # the lease is lengthened meanwhile
        go_on.set()
        assert [(await anext(events)).kind for _ in range(2)] == ["refreshed", "refreshed"]
    await transport.aclose()


@either_loop
async def test_a_follower_asks_for_the_last_token_too(scenario):
    """The refresh token ends before it is due, so that it is refreshed only when asked for."""
    async with both(scenario, keeper=True) as (peer, follower):
        grant = await peer._vault.load("1001")
        soon = scenario.clock.now() + timedelta(hours=6)
        token = evolve(grant.token, refresh_expires_at=soon)
        await peer._vault._stored.write(evolve(grant, token=token))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follower.refresh, "1001")
            with anyio.fail_after(60):
                while not scenario.presented():
                    scenario.clock.advance(1)
                    await anyio.sleep(0.02)
        assert (await follower.token("1001")).refresh_token == scenario.live().refresh_token
