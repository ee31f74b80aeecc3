"""Leases that end while a refresh is under way: who takes over, and what is presented then."""

from contextlib import asynccontextmanager

import anyio
import pytest
from tokens_helpers import (
    SHORT,
    Between,
    LeasedOnce,
    Outage,
    WatchedStore,
    cut_off,
    failing,
    hanging,
    held,
)
from tokens_scenario import (
    LEAD,
    MONTH,
    REFRESH,
    SECOND_LOOK,
    each_store,
    either_loop,
    eventually,
    kinds,
)

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
            with pytest.raises(iop.ReauthorizationRequired, match="IllegalRefreshToken"):
                await quick.refresh("1001")
            assert await kinds(events, 1) == ["ambiguous"]
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
    """One probe among all hosts, a second look, and then never again of themselves.

    The access token is served to its end.
    """
    shared.sandbox.grants.old_access_token = "stays"
    async with died(shared, consumed=True) as old, shared.hosts(2) as hosts:
        streams = [host.events() for host in hosts]
        with pytest.raises(iop.ReauthorizationRequired):
            await hosts[0].refresh("1001")
        for host in hosts:
            assert (await host.token("1001")).access_token == old.access_token
            await host.refresh_due()
        assert shared.presented() == 2
        shared.clock.advance(SECOND_LOOK)
        for host in hosts:
            await host.refresh_due()
            await host.refresh_due()
            assert (await host.status("1001")).state == "reauthorize"
            assert "a process died" in (await host.status("1001")).reason
            await host.aclose()
        told = [event.kind for stream in streams async for event in stream]
        assert sorted(told) == ["ambiguous", "authorize_by", "reauthorize"]
    assert shared.presented() == 3


@either_loop
async def test_a_probe_that_waited_finds_the_answer_and_presents_nothing(scenario):
    """The first holder lost its lease and stored the pair while the next one waited its turn."""
    async with (
        held() as first,
        held() as second,
        scenario.manager(
            LeasedOnce(scenario.store()),
            client=scenario.client(transport=first),
            lease_seconds=SHORT,
        ) as one,
        scenario.manager(
            client=scenario.client(transport=second), lease_seconds=SHORT, concurrency=1
        ) as other,
        anyio.create_task_group() as tasks,
    ):
        store = scenario.store()
        for seller in ("1001", "1002"):
            await one.authorize(scenario.code(seller))
        tasks.start_soon(one.refresh, "1001")
        await eventually(lambda: first.asked == 1)
        tasks.start_soon(other.refresh, "1002")
        await eventually(lambda: second.asked == 1)
        probed = []

        async def probe():
            probed.append(await other.refresh("1001"))

        tasks.start_soon(probe)
        while b'"presentations":2' not in (await store.get(one.scope, "1001")).body:
            await anyio.sleep(0.01)
        first.let_go.set()
        while (await store.get(one.scope, "1001")).generation == 1:
            await anyio.sleep(0.01)
        second.let_go.set()
        await eventually(lambda: bool(probed))
        assert probed[0].refresh_token == scenario.live("1001").refresh_token
        assert scenario.presented() == second.asked + first.asked == 2
        await store.aclose()


@either_loop
async def test_what_was_too_late_to_be_sent_says_nothing_of_the_gateway(scenario):
    """Many leases were over before their requests went out: none is kept waiting for that."""
    scenario.sandbox.add_sellers(1)
    sellers = list(scenario.sandbox.sellers)[:4]
    asked, failed, go = [], {}, anyio.Event()
    store = Outage(scenario.store())

    async def stand_still(go_on):
        asked.append(1)
        await go.wait()
        return await go_on()

    client = scenario.client(transport=Between(stand_still))
    async with scenario.manager(store, client=client, lease_seconds=SHORT) as tokens:

        async def refresh(seller):
            with pytest.raises(iop.TransportError, match="not sent") as caught:
                await tokens.refresh(seller)
            failed[seller] = caught.value

        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
        async with anyio.create_task_group() as tasks:
            for seller in sellers:
                tasks.start_soon(refresh, seller)
            await eventually(lambda: len(asked) == len(sellers))
            store.fails = {"lease"}
            await anyio.sleep(2 * SHORT)
            go.set()
        store.fails = frozenset()
        assert set(failed) == set(sellers)
        assert scenario.presented() == 0
        report = await tokens.refresh_many(sellers)
        assert set(report.refreshed) == set(sellers)


@either_loop
async def test_a_pair_that_the_store_did_not_take_is_presented_under_a_lease(scenario):
    """Written to the store first, or whoever finds it due there would present it as well."""
    watched = WatchedStore(scenario.store())
    async with (
        held() as transport,
        scenario.manager(
            watched, client=scenario.client(transport=transport), lease_seconds=60
        ) as tokens,
        anyio.create_task_group() as tasks,
    ):
        transport.let_go.set()
        await tokens.authorize(scenario.code())
        watched.before = failing(1)
        await tokens.refresh("1001")
        assert not (await tokens.status("1001")).is_persisted
        transport.let_go = anyio.Event()
        tasks.start_soon(tokens.refresh, "1001")
        await eventually(lambda: transport.asked == 2)
        lent = await watched.lease(tokens.scope, "1001", holder="another", seconds=1)
        transport.let_go.set()
        assert lent is None


@either_loop
async def test_a_lease_that_cannot_be_lengthened_keeps_no_other_from_it(scenario):
    """All of them are lengthened at the same time."""
    lengthened = set()
    hangs = anyio.Event()

    class Hanging(WatchedStore):
        async def lease(self, scope, seller, *, holder, seconds):
            if transport.asked == 3 and seconds:
                lengthened.add(seller)
                if len(lengthened) == 1:
                    await hangs.wait()
            return await self._store.lease(scope, seller, holder=holder, seconds=seconds)

    sellers = ["1001", "1002", "1003"]
    async with (
        held() as transport,
        scenario.manager(
            Hanging(scenario.store()),
            client=scenario.client(transport=transport),
            lease_seconds=SHORT,
        ) as tokens,
    ):
        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
        async with anyio.create_task_group() as tasks:
            for seller in sellers:
                tasks.start_soon(tokens.refresh, seller)
            await eventually(lambda: lengthened == set(sellers))
            hangs.set()
            transport.let_go.set()
