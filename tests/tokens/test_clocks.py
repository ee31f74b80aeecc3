"""Clocks that jump, lag and change their zone, and machines that sleep."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import pytest
from tokens_helpers import LEASE
from tokens_scenario import (
    APP,
    DAY,
    LEAD,
    MONTH,
    REFRESH,
    Scenario,
    all_told,
    either_loop,
    kinds,
)

import iop_async as iop
from iop_async.sandbox import Sandbox, running
from iop_async.testing._clock import MovableClock
from iop_async.tokens import SystemClock

HOUR = 3600


class HostClock:
    """The clock of a machine that is off by some seconds; the gateway's is that of the scenario."""

    def __init__(self, clock):
        self._clock = clock
        self.off = 0.0

    def now(self):
        return self._clock.now() + timedelta(seconds=self.off)

    def monotonic(self):
        return self._clock.monotonic()

    async def sleep(self, seconds):
        await self._clock.sleep(seconds)


@pytest.fixture
def host(scenario):
    """The machine's clock."""
    scenario.host_clock = HostClock(scenario.clock)
    return scenario.host_clock


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
@either_loop
async def test_a_clock_that_jumps_by_an_hour_refreshes_nothing_but_what_is_due(
    scenario, host, jump
):
    """Nor anything twice; and no token that the gateway takes for dead reaches a call's outcome."""
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(10 * DAY)
        host.off = jump
        assert (await tokens.refresh_due()).refreshed == ()
        scenario.clock.advance(20 * DAY - 2 * HOUR)
        assert (await tokens.refresh_due()).refreshed == ()
        scenario.clock.advance(4 * HOUR)
        host.off = 0
        assert len((await tokens.refresh_due()).refreshed) == 3
        host.off = jump
        assert (await tokens.refresh_due()).refreshed == ()
        assert scenario.presented() == 3
        scenario.clock.advance(MONTH - HOUR / 2)
        for seller in ("1001", "1002", "1003"):
            await tokens.seller(seller).call("/seller/get")
        await tokens.refresh_due()
        scenario.clock.advance(HOUR)
        for seller in ("1001", "1002", "1003"):
            await tokens.seller(seller).call("/seller/get")
        assert scenario.presented() == 6


@either_loop
async def test_a_host_that_lags_three_hours_marks_no_seller_and_recovers_with_its_clock(
    scenario, host
):
    """The gateway refuses every call; that is the host's trouble, and not asked for each seller.

    Where an answer has no date, nobody can tell by how much the host is off.
    """
    scenario.sandbox.fail("headers", headers={"date": None}, times=None)
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH + HOUR)
        host.off = -3 * HOUR
        with pytest.raises(iop.ClockError, match="7200 s"):
            await tokens.refresh("1001")
        for _ in range(20):
            report = await tokens.refresh_many(["1001", "1002", "1003"])
            assert {type(error) for error in report.failed.values()} == {iop.ClockError}
        assert scenario.sandbox.ledger.calls[REFRESH, "IllegalTimestamp"] <= 3
        assert {status.state async for status in tokens.statuses()} == {"live"}
        host.off = 0
        scenario.clock.advance(10)
        report = await tokens.refresh_many(["1001", "1002", "1003"])
        assert len(report.refreshed) == 3


@pytest.mark.parametrize("hours", [-3, 3])
@either_loop
async def test_a_host_three_hours_off_refreshes_by_the_gateways_clock(scenario, host, hours):
    """The first refusal says what time it is, and everybody is refreshed."""
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(10 * DAY)
        host.off = hours * HOUR
        report = await tokens.refresh_many(["1001", "1002", "1003"])
        assert len(report.refreshed) == 3
        assert scenario.sandbox.ledger.calls[REFRESH, "IllegalTimestamp"] <= 3


@either_loop
async def test_after_eight_hours_of_sleep_the_keeper_refreshes_once(scenario):
    """Not once for every look that it missed; the first call gets the new token."""
    async with scenario.manager(keeper=True) as tokens:
        events = tokens.events()
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - 2 * LEAD)
        await anyio.sleep(0.2)
        assert scenario.presented() == 0
        scenario.clock.advance(8 * HOUR)
        token = await tokens.token("1001")
        assert token.access_token == scenario.live().access_token
        assert await kinds(events, 1) == ["refreshed"]
        await anyio.sleep(0.3)
        assert scenario.presented() == 1


@pytest.mark.parametrize("start", ["2026-03-28T12:00", "2026-10-24T12:00"])
def test_summer_time_neither_shortens_nor_lengthens_a_token(tmp_path, start):
    """A clock may show local time: lifetimes are counted in UTC."""
    scenario = Scenario(tmp_path / "tokens.db")
    scenario.clock = MovableClock(datetime.fromisoformat(start).replace(tzinfo=UTC))
    scenario.sandbox = Sandbox(now=scenario.clock.now, access_seconds=DAY)

    def local():
        return scenario.clock.now().astimezone(ZoneInfo("Europe/Berlin"))

    async def main():
        client = iop.Client(APP, iop.gateways.Iop(scenario.url), now=local)
        async with scenario.manager(client=client, clock=SystemClock(local)) as tokens:
            token = await tokens.authorize(scenario.code())
            assert (token.expires_at.tzinfo, token.issued_at.tzinfo) == (UTC, UTC)
            assert token.expires_at - token.issued_at == timedelta(days=1)
            scenario.clock.advance(DAY - LEAD - 60)
            assert (await tokens.refresh_due()).refreshed == ()
            scenario.clock.advance(120)
            assert (await tokens.refresh_due()).refreshed == ("1001",)
            berlin = ZoneInfo("Europe/Berlin")
            in_berlin = [
                moment.astimezone(berlin) for moment in (token.issued_at, token.expires_at)
            ]
            kept = iop.Token(access_token="a", issued_at=in_berlin[0], expires_at=in_berlin[1])
            assert kept.expires_at - kept.issued_at == timedelta(days=1)

    with running(scenario.sandbox) as scenario.url:
        anyio.run(main)


@either_loop
async def test_a_clock_that_was_ahead_and_is_put_right_holds_up_no_refresh(scenario, host):
    """What was postponed by the wrong time is looked at again within a minute."""
    async with scenario.manager(keeper=True, clock=host) as tokens:
        await tokens.authorize(scenario.code())
        host.off = 1.5 * HOUR
        scenario.sandbox.fail("status", status=503, api=REFRESH, times=None)
        scenario.clock.advance(MONTH - LEAD + 60)
        with anyio.fail_after(60):
            while (await tokens.status("1001")).retry_at is None:
                await anyio.sleep(0.01)
        host.off = 0.0
        scenario.sandbox.faults.clear()
        assert (await tokens.status("1001")).retry_at > scenario.clock.now() + timedelta(hours=1)
        with anyio.fail_after(60):
            for _ in range(6):
                scenario.clock.advance(10)
                await anyio.sleep(0.3)
            while (await tokens.status("1001")).generation == 1:
                await anyio.sleep(0.01)
        assert (await tokens.status("1001")).state == "live"


@pytest.mark.parametrize(
    "offs",
    [(3 * HOUR,), (-3 * HOUR,), (30 * DAY,), (-30 * DAY,), (100, -100, 100, -100)],
    ids=["+3 h", "-3 h", "+a month", "-a month", "steps"],
)
@either_loop
async def test_a_clock_that_is_wrong_for_minutes_raises_no_false_alarm(scenario, host, offs):
    """Nor does it end the keeping: who falls due afterwards is refreshed within a minute.

    By a clock that is a month ahead every token has ended, and the grants' own ends are past.
    """
    scenario.sandbox.grants.refresh_seconds = 45 * DAY
    async with scenario.manager(keeper=True, clock=host, lease_seconds=LEASE) as tokens:
        events = tokens.events()
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH - LEAD - 60)
        for off in offs:
            host.off = off
            for _ in range(6):
                scenario.clock.advance(10)
                await anyio.sleep(0.05)
        host.off = 0
        scenario.clock.advance(60)
        with anyio.fail_after(60):
            while {one.generation async for one in tokens.statuses()} != {2}:
                scenario.clock.advance(10)
                await anyio.sleep(0.1)
        kinds_told = {event.kind for event in await all_told(tokens, events)}
        assert kinds_told <= {"refreshed", "refresh_failed"}
        assert {one.state async for one in tokens.statuses()} == {"live"}
