"""Leases that end while a refresh is under way: of the slow, the cut off, and the dead."""

from contextlib import asynccontextmanager

import anyio
import pytest
from tokens_hands import SHORT, Outage, WatchedStore, cut_off, hanging
from tokens_world import LEAD, MONTH, REFRESH, each_store, eventually, kinds

import iop_async as iop
from iop_async._http.sockets import Sockets


@pytest.mark.parametrize(
    ("lease", "answer"), [(1.5, 4.0), pytest.param(2.0, 20.0, marks=pytest.mark.drill)]
)
@each_store
async def test_a_lease_is_lengthened_for_as_long_as_the_answer_takes(shared, lease, answer):
    """Another host, which waits for its end all the while, adopts what came of it."""
    async with shared.hosts(2, lease_seconds=lease) as hosts:
        await hosts[0].authorize(shared.code())
        shared.sandbox.fail("latency", api=REFRESH, seconds=answer, after=False)
        served = []

        async def refresh(host):
            served.append((await host.refresh("1001")).refresh_token)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh, hosts[0])
            await eventually(lambda: shared.sandbox.faults.rules[0].hits)
            tasks.start_soon(refresh, hosts[1])
        assert served == [shared.live().refresh_token] * 2
    assert shared.presented() == 1


@each_store
async def test_a_pair_that_comes_after_another_host_was_refused_is_stored_and_serves_all(shared):
    """The late holder has it alone: the other took over, and found the refresh token spent."""
    taken, go = anyio.Event(), anyio.Event()

    async def late(go_on):
        answer = await go_on()
        taken.set()
        await go.wait()
        return answer

    async with cut_off(shared, late) as slow, shared.manager() as quick:
        events = quick.events()
        await quick.authorize(shared.code())
        shared.clock.advance(MONTH - LEAD + 60)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow.refresh, "1001")
            await taken.wait()
            with pytest.raises(iop.AuthError, match="IllegalRefreshToken"):
                await quick.refresh("1001")
            assert await kinds(events, 2) == ["ambiguous", "reauthorize"]
            go.set()
        for host in (slow, quick):
            status = await host.status("1001")
            assert (status.state, status.generation, status.is_persisted) == ("live", 2, True)
            assert (await host.token("1001")).refresh_token == shared.live().refresh_token
        shared.clock.advance(MONTH)
        with anyio.fail_after(60):  # the late holder's lease may have been lengthened once more
            while not (await quick.refresh_due()).refreshed:
                await anyio.sleep(SHORT)
    assert shared.presented() == 3


@each_store
async def test_a_late_holder_whose_refresh_token_another_host_has_spent_adopts_its_pair(shared):
    """Its own request reached the gateway later, and was refused: nobody is told to authorize."""
    shared.sandbox.fail("latency", api=REFRESH, seconds=3 * SHORT, after=False)
    async with cut_off(shared, lambda go_on: go_on()) as slow, shared.manager() as quick:
        events = slow.events()
        await quick.authorize(shared.code())
        served = []

        async def refresh(host):
            served.append((await host.refresh("1001")).refresh_token)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh, slow)
            await eventually(lambda: shared.sandbox.faults.rules[0].hits)
            tasks.start_soon(refresh, quick)
        assert served == [shared.live().refresh_token] * 2
        await slow.aclose()
        assert "reauthorize" not in [event.kind async for event in events]
        status = await quick.status("1001")
        assert (status.state, status.generation) == ("live", 2)
    assert [entry.accepted for entry in shared.sandbox.ledger.refreshes] == [True, False]


@each_store
async def test_a_request_that_is_ready_after_its_lease_is_not_sent(shared, monkeypatch):
    """It hung in connecting while another host took over: that one alone presents the token."""
    connect, connecting, go = Sockets.connect_tcp, anyio.Event(), anyio.Event()

    async def hang(*args, **options):
        if not connecting.is_set():
            connecting.set()
            await go.wait()
        return await connect(*args, **options)

    async with cut_off(shared, lambda go_on: go_on()) as slow, shared.manager() as quick:
        await quick.authorize(shared.code())
        monkeypatch.setattr(Sockets, "connect_tcp", hang)
        served = []

        async def refresh():
            served.append(await slow.refresh("1001"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh)
            await connecting.wait()
            new = await quick.refresh("1001")
            assert (await quick.status("1001")).generation == 2
            go.set()
        assert [token.refresh_token for token in served] == [new.refresh_token]
        assert new.refresh_token == shared.live().refresh_token
    assert shared.presented() == 1


@each_store
async def test_a_lease_that_another_host_had_meanwhile_is_not_lengthened(shared):
    """Who stood still gets it again, but not to present a refresh token that was read before."""
    begun, go = anyio.Event(), anyio.Event()

    async def stand_still(kind):
        if kind == "intent" and not begun.is_set():
            begun.set()
            await go.wait()

    store = WatchedStore(Outage(shared.store()), after=stand_still)
    async with (
        shared.manager(store, lease_seconds=SHORT) as slow,
        shared.manager(lease_seconds=SHORT) as quick,
    ):
        await quick.authorize(shared.code())
        served = []

        async def refresh():
            served.append(await slow.refresh("1001"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(refresh)
            await begun.wait()
            store._store.fails = {"lease"}
            new = await quick.refresh("1001")
            store._store.fails = frozenset()
            with anyio.fail_after(60):  # until who stood still has it again
                while await quick._vault.leases.take("1001") is not None:
                    await quick._vault.leases.give_back("1001")
                    await anyio.sleep(SHORT / 3)
            go.set()
        assert [token.refresh_token for token in served] == [new.refresh_token]
        assert new.refresh_token == shared.live().refresh_token
    assert shared.presented() == 1


@asynccontextmanager
async def died(shared, *, consumed):
    """A host that ends without a word after it began to present a refresh token."""
    transport, presenting = hanging(consumed=consumed)
    client = shared.client(transport=transport)
    async with (
        shared.manager(client=client, lease_seconds=SHORT, drain_seconds=0) as tokens,
        anyio.create_task_group() as tasks,
    ):
        token = await tokens.authorize(shared.code())
        shared.clock.advance(MONTH - LEAD + 60)
        tasks.start_soon(tokens.refresh, "1001")
        await presenting.wait()
        tasks.cancel_scope.cancel()
    await transport.aclose()
    yield token


@pytest.mark.parametrize("keeper", [False, True])
@each_store
async def test_who_takes_over_from_a_dead_host_recovers_a_token_that_was_not_spent(shared, keeper):
    """After the lease, by one probe; no human is needed, and nobody is told of a loss."""
    async with died(shared, consumed=False), shared.manager(keeper=keeper) as tokens:
        assert (await tokens.status("1001")).is_unanswered
        events = tokens.events()
        if not keeper:
            await tokens.refresh("1001")
        assert await kinds(events, 1) == ["refreshed"]
        status = await tokens.status("1001")
        assert (status.state, status.generation, status.is_unanswered) == ("live", 2, False)
        assert (await tokens.token("1001")).refresh_token == shared.live().refresh_token
    assert shared.presented() == 1


@each_store
async def test_who_takes_over_from_a_dead_host_reports_a_token_that_was_spent_once(shared):
    """One probe among all hosts, and then never again; the access token is served to its end."""
    shared.sandbox.grants.old_access_token = "stays"
    async with died(shared, consumed=True) as old, shared.hosts(2) as hosts:
        streams = [host.events() for host in hosts]
        with pytest.raises(iop.AuthError):
            await hosts[0].refresh("1001")
        for host in hosts:
            assert (await host.token("1001")).access_token == old.access_token
            await host.refresh_due()
            with pytest.raises(iop.ReauthorizationRequired):
                await host.refresh("1001")
            await host.aclose()
        told = [event.kind for stream in streams async for event in stream]
        assert sorted(told) == ["ambiguous", "authorize_by", "reauthorize"]
    assert shared.presented() == 2
