"""Several hosts on one store: what one does, the others neither repeat nor miss."""

import anyio
import pytest
from tokens_helpers import Between
from tokens_scenario import DAY, LEAD, MONTH, REFRESH, SECOND_LOOK, each_store, eventually

import iop_async as iop


async def everywhere(hosts, seller="1001"):
    """What each host serves."""
    return {(await host.token(seller)).access_token for host in hosts}


@each_store
async def test_of_hosts_that_refresh_a_seller_at_once_one_presents_and_the_others_adopt(shared):
    """Fifty tasks on each of three of them, while the answer takes a while."""
    async with shared.hosts(3) as hosts:
        await hosts[0].authorize(shared.code())
        await everywhere(hosts)
        shared.clock.advance(MONTH + 60)
        shared.sandbox.fail("latency", api=REFRESH, seconds=0.2)
        served = []

        async def ask(how):
            served.append((await how("1001")).access_token)

        async with anyio.create_task_group() as tasks:
            for n, host in enumerate(hosts * 50):
                tasks.start_soon(ask, host.refresh if n % 2 else host.token)
        assert set(served) == {shared.live().access_token}
        assert len(served) == 150
        for host in hosts:
            status = await host.status("1001")
            assert (status.generation, status.state, status.is_unanswered) == (2, "live", False)
    assert shared.presented() == 1


@each_store
async def test_a_refresh_that_is_not_answered_holds_up_no_other_seller_on_any_host(shared):
    """Thirty others are refreshed on two hosts meanwhile: there is no lock for all."""
    shared.sandbox.add_sellers(28)
    slow, *others = shared.sandbox.sellers
    unanswered = anyio.Event()

    async def hold(go_on):
        if not unanswered.is_set():
            unanswered.set()
            await anyio.sleep_forever()
        return await go_on()

    transport = Between(hold)
    async with (
        shared.manager(
            client=shared.client(transport=transport), drain_seconds=0, lease_seconds=30.0
        ) as first,
        shared.manager(lease_seconds=30.0) as second,
    ):
        for seller in shared.sandbox.sellers:
            await first.import_token(token_of(shared, seller))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first.refresh, slow)
            await unanswered.wait()
            for n, seller in enumerate(others):
                tasks.start_soon((first, second)[n % 2].refresh, seller)
            await eventually(lambda: shared.presented() == len(others), seconds=30)
            assert (await first.status(slow)).is_refreshing
            tasks.cancel_scope.cancel()
    await transport.aclose()


def token_of(scenario, seller):
    pair = scenario.sandbox.grant(seller)
    return iop.Token(
        access_token=pair["access_token"],
        refresh_token=pair["refresh_token"],
        issued_at=scenario.clock.now(),
        expires_at=scenario.live(seller).access_until,
        refresh_expires_at=scenario.live(seller).refresh_until,
        sellers=(iop.Seller(seller_id=seller),),
    )


@pytest.mark.parametrize(
    "count", [60, pytest.param(5_000, marks=[pytest.mark.drill, pytest.mark.alone])]
)
@each_store
async def test_what_is_due_at_once_is_shared_by_three_hosts_and_nothing_is_presented_twice(
    shared, count
):
    """By their keepers; each seller is refreshed, and every host gets something to do."""
    shared.sandbox.add_sellers(count - 3)
    async with shared.manager() as tokens:
        await imported(tokens, shared)
    shared.clock.advance(MONTH - LEAD / 2)
    # The first would be done before the last has been entered.
    seconds = 0.05 if count > 1_000 else 0.6
    shared.sandbox.fail("latency", api=REFRESH, seconds=seconds, times=None)
    async with shared.hosts(3, keeper=True, concurrency=5, lease_seconds=30.0) as hosts:
        await eventually(lambda: shared.presented() == count, seconds=500)
        for host in hosts:
            await host.aclose()
    told = shared.told[-len(hosts) :]
    done = [stream.missed + len([event async for event in stream]) for stream in told]
    presented = shared.sandbox.ledger.refreshes
    assert sorted(entry.seller for entry in presented) == sorted(shared.sandbox.sellers)
    assert len({entry.token for entry in presented}) == len(presented)
    assert sum(done) == count
    assert all(done)


async def imported(tokens, scenario):
    """Grants of all sellers, which fall due together."""
    waiting = iter(list(scenario.sandbox.sellers))

    async def work():
        for seller in waiting:
            await tokens.import_token(token_of(scenario, seller))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(work)


@each_store
async def test_a_failure_that_one_host_met_stops_the_others_too(shared):
    """A dead refresh token is presented once, whoever asks; the access token is served."""
    async with shared.hosts(3) as hosts:
        old = await hosts[0].authorize(shared.code())
        await everywhere(hosts)
        shared.live().refresh_live = False
        shared.clock.advance(MONTH - LEAD + 60)
        with pytest.raises(iop.ReauthorizationRequired, match="IllegalRefreshToken"):
            await hosts[0].refresh("1001")
        for seconds, state in ((0, "live"), (SECOND_LOOK, "reauthorize"), (600, "reauthorize")):
            shared.clock.advance(seconds)
            for host in hosts[1:]:
                await host.refresh_due()
                report = await host.refresh_due()
                assert (report.refreshed, report.failed) == ((), {})
                assert (await host.status("1001")).state == state
            assert await everywhere(hosts) == {old.access_token}
    assert shared.presented() == 2


@each_store
async def test_an_authorization_on_any_host_ends_a_failure_everywhere_at_once(shared):
    """Those that refused the seller a moment ago serve, call and refresh with the new grant."""
    async with shared.hosts(3) as hosts:
        await hosts[0].authorize(shared.code())
        await everywhere(hosts)
        shared.live().refresh_live = False
        shared.clock.advance(MONTH + 60)
        for host in hosts:
            with pytest.raises(iop.IopError):
                await host.token("1001")
        assert shared.presented() == 1
        new = await hosts[2].authorize(shared.code())
        assert await everywhere(hosts) == {new.access_token}
        for host in hosts:
            assert (await host.status("1001")).state == "live"
            await host.seller("1001").call("/seller/get")
            await host.refresh("1001")
        assert shared.presented() == 4
        assert await everywhere([hosts[2]]) == {shared.live().access_token}


@each_store
async def test_an_authorization_elsewhere_is_found_by_the_first_refused_call(shared):
    """A host that has the old token in memory, for which it is good for long, presents nothing."""
    async with shared.hosts(2) as hosts:
        await hosts[0].authorize(shared.code())
        await everywhere(hosts)
        new = await hosts[1].authorize(shared.code())
        await hosts[0].seller("1001").call("/seller/get")
        assert await everywhere(hosts) == {new.access_token}
    assert shared.presented() == 0


@each_store
async def test_warnings_are_given_once_and_not_by_every_host(shared):
    """Fourteen days, seven days, 48 hours, now: each by whichever host comes first."""
    shared.sandbox.grants.refresh_seconds = 60 * DAY
    async with shared.hosts(3) as hosts:
        streams = [host.events() for host in hosts]
        await hosts[0].authorize(shared.code())
        for days in (29.99, 16.02, 7, 5, 2, 31):
            shared.clock.advance(days * DAY)
            for _ in range(2):
                async with anyio.create_task_group() as tasks:
                    for host in hosts:
                        tasks.start_soon(host.refresh_due)
        for host in hosts:
            await host.aclose()
        events = [event for stream in streams async for event in stream]
    said = sorted(event.reason for event in events if event.kind != "refreshed")
    assert said == ["14 days", "48 hours", "7 days", "now"]


@each_store
async def test_a_host_waits_for_as_long_as_another_was_told_to(shared):
    """What calls for the token meanwhile is served with the old one, and presents nothing."""
    async with shared.hosts(2) as (first, second):
        old = await first.authorize(shared.code())
        await second.token("1001")
        shared.clock.advance(MONTH - LEAD + 60)
        shared.sandbox.fail("status", status=429, retry_after=90, api=REFRESH)
        with pytest.raises(iop.Throttled):
            await first.refresh("1001")
        assert await everywhere([first, second]) == {old.access_token}
        await eventually(lambda: not second._lifecycle.here.flights.seller_ids)
        assert shared.presented() == 1
        status = await second.status("1001")
        assert (status.attempts, status.state) == (1, "live")
        assert 85 < (status.retry_at - shared.clock.now()).total_seconds() < 95
        for _ in range(4):
            shared.clock.advance(20)
            assert await everywhere([first, second]) == {old.access_token}
            await second.refresh_due()
            assert not (await second.status("1001")).is_refreshing
        assert shared.presented() == 1
        shared.clock.advance(20)
        assert (await second.refresh_due()).refreshed == ("1001",)
        assert (await second.token("1001")).refresh_token == shared.live().refresh_token
    assert shared.presented() == 2


@each_store
async def test_who_asks_for_a_refresh_gets_one_although_somebody_looked_and_found_none_due(shared):
    """A call's look is under way, which obeys the wait; who asks expressly does not."""
    async with shared.hosts(2) as (first, second):
        old = await first.authorize(shared.code())
        await second.token("1001")
        shared.clock.advance(MONTH - LEAD + 60)
        shared.sandbox.fail("status", status=429, retry_after=90, api=REFRESH)
        with pytest.raises(iop.Throttled):
            await first.refresh("1001")
        assert (await second.token("1001")).access_token == old.access_token
        assert (await second.refresh("1001")).refresh_token == shared.live().refresh_token
        assert (await second.token("1001")).access_token != old.access_token
    assert shared.presented() == 2


@each_store
async def test_a_seller_that_is_forgotten_on_one_host_is_not_brought_back_by_another(shared):
    """Whose refresh was under way, and whose answer comes late."""
    answered, go = anyio.Event(), anyio.Event()

    async def hold(go_on):
        answer = await go_on()
        answered.set()
        await go.wait()
        return answer

    transport = Between(hold)
    async with (
        shared.manager(client=shared.client(transport=transport)) as first,
        shared.manager() as second,
        anyio.create_task_group() as tasks,
    ):
        await first.authorize(shared.code())

        async def refused():
            with pytest.raises(iop.ReauthorizationRequired, match="forgotten"):
                await first.refresh("1001")

        tasks.start_soon(refused)
        await answered.wait()
        assert await second.forget("1001")
        go.set()
    async with shared.manager() as third:
        with pytest.raises(iop.ReauthorizationRequired, match="never authorized"):
            await third.token("1001")
    await transport.aclose()
