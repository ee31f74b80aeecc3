"""Clocks that jump, lag and change their zone, and machines that sleep."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import pytest
from tokens_world import APP, DAY, LEAD, MONTH, REFRESH, World, either_loop, kinds

import iop_async as iop
from iop_async.sandbox import Sandbox, running
from iop_async.testing._clock import MovableClock
from iop_async.tokens import SystemClock

HOUR = 3600


class HostClock:
    """The clock of a machine that is off by some seconds; the gateway's is the world's."""

    def __init__(self, clock):
        self._clock = clock
        self.off = 0.0

    def now(self):
        return self._clock.now() + timedelta(seconds=self.off)

    async def sleep_until(self, moment):
        await self._clock.sleep_until(moment - timedelta(seconds=self.off))


@pytest.fixture
def host(world):
    """The machine's clock."""
    world.host_clock = HostClock(world.clock)
    return world.host_clock


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
@either_loop
async def test_a_clock_that_jumps_by_an_hour_refreshes_nothing_but_what_is_due(world, host, jump):
    """Nor anything twice; and no token that the gateway takes for dead reaches a call's outcome."""
    async with world.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(world.code(seller))
        world.clock.advance(10 * DAY)
        host.off = jump
        assert (await tokens.refresh_due()).refreshed == ()
        world.clock.advance(20 * DAY - 2 * HOUR)
        assert (await tokens.refresh_due()).refreshed == ()
        world.clock.advance(4 * HOUR)
        host.off = 0
        assert len((await tokens.refresh_due()).refreshed) == 3
        host.off = jump
        assert (await tokens.refresh_due()).refreshed == ()
        assert world.presented() == 3
        world.clock.advance(MONTH - HOUR / 2)
        for seller in ("1001", "1002", "1003"):
            await tokens.seller(seller).call("/seller/get")
        await tokens.refresh_due()
        world.clock.advance(HOUR)
        for seller in ("1001", "1002", "1003"):
            await tokens.seller(seller).call("/seller/get")
        assert world.presented() == 6


@either_loop
async def test_a_host_that_lags_three_hours_marks_no_seller_and_recovers_with_its_clock(
    world, host
):
    """The gateway refuses every call; that is the host's trouble, and not asked for each seller."""
    async with world.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(world.code(seller))
        world.clock.advance(MONTH + HOUR)
        host.off = -3 * HOUR
        with pytest.raises(iop.ClockError, match="7200 s"):
            await tokens.refresh("1001")
        for _ in range(20):
            report = await tokens.refresh_many(["1001", "1002", "1003"])
            assert {type(error) for error in report.failed.values()} == {iop.ClockError}
        assert world.sandbox.ledger.calls[REFRESH, "IllegalTimestamp"] <= 3
        assert {status.state async for status in tokens.statuses()} == {"live"}
        host.off = 0
        world.clock.advance(10)
        report = await tokens.refresh_many(["1001", "1002", "1003"])
        assert len(report.refreshed) == 3


@either_loop
async def test_after_eight_hours_of_sleep_the_keeper_refreshes_once(world):
    """Not once for every look that it missed; the first call gets the new token."""
    async with world.manager(keeper=True) as tokens:
        events = tokens.events()
        await tokens.authorize(world.code())
        world.clock.advance(MONTH - 2 * LEAD)
        await anyio.sleep(0.2)
        assert world.presented() == 0
        world.clock.advance(8 * HOUR)
        token = await tokens.token("1001")
        assert token.access_token == world.live().access_token
        assert await kinds(events, 1) == ["refreshed"]
        await anyio.sleep(0.3)
        assert world.presented() == 1


@either_loop
async def test_the_real_clock_looks_again_when_the_machine_wakes_up(monkeypatch):
    """A wait for eight hours ends soon after the time has come, however it came."""
    monkeypatch.setattr("iop_async.tokens._clock._LONGEST_SLEEP", 0.01)
    times = MovableClock()
    clock = SystemClock(times.now)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.sleep_until, times.now() + timedelta(hours=8))
            await anyio.sleep(0.03)
            times.advance(9 * HOUR)


@pytest.mark.parametrize("start", ["2026-03-28T12:00", "2026-10-24T12:00"])
def test_summer_time_neither_shortens_nor_lengthens_a_token(tmp_path, start):
    """A clock may show local time: lifetimes are counted in UTC."""
    world = World(tmp_path / "tokens.db")
    world.clock = MovableClock(datetime.fromisoformat(start).replace(tzinfo=UTC))
    world.sandbox = Sandbox(now=world.clock.now, access_seconds=DAY)

    def local():
        return world.clock.now().astimezone(ZoneInfo("Europe/Berlin"))

    async def main():
        client = iop.Client(APP, iop.gateways.Iop(world.url), now=local)
        async with world.manager(client=client, clock=SystemClock(local)) as tokens:
            token = await tokens.authorize(world.code())
            assert (token.expires_at.tzinfo, token.issued_at.tzinfo) == (UTC, UTC)
            assert token.expires_at - token.issued_at == timedelta(days=1)
            world.clock.advance(DAY - LEAD - 60)
            assert (await tokens.refresh_due()).refreshed == ()
            world.clock.advance(120)
            assert (await tokens.refresh_due()).refreshed == ("1001",)
            berlin = ZoneInfo("Europe/Berlin")
            in_berlin = [
                moment.astimezone(berlin) for moment in (token.issued_at, token.expires_at)
            ]
            kept = iop.Token(access_token="a", issued_at=in_berlin[0], expires_at=in_berlin[1])
            assert kept.expires_at - kept.issued_at == timedelta(days=1)

    with running(world.sandbox) as world.url:
        anyio.run(main)
