"""A host's clock that is wrong, a gateway's that is, and answers that say nothing of it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

import iop_async as iop
from iop_async.calling import GatewayClock

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = 3600
API = "/sandbox/echo"


class Host:
    """A host that is so many seconds ahead of the gateway, whose ``Date`` is ``lie`` ahead."""

    def __init__(self, ahead=0.0, lie=0.0):
        self.time, self.ahead, self.lie = START, ahead, lie
        self.clock = GatewayClock(self.now)

    def now(self):
        return self.time + timedelta(seconds=self.ahead)

    def exchange(self, seconds=0.1, *, pause=1.0, lie=None):
        """Send a request, and learn from an answer that was written just before it arrived."""
        self.time += timedelta(seconds=pause)
        sent_at = self.now()
        self.time += timedelta(seconds=seconds)
        moment = self.time + timedelta(seconds=self.lie if lie is None else lie)
        self.clock.learn(format_datetime(moment.replace(microsecond=0), usegmt=True), sent_at)

    @property
    def off(self):
        """Seconds that the corrected clock is off."""
        return (self.clock.now() - self.time).total_seconds()


@pytest.mark.parametrize("ahead", [-HOUR, -60, -7, 7, 60, HOUR])
def test_answers_that_agree_put_the_clock_right(ahead):
    """To a second or two: a ``Date`` has no more."""
    host = Host(ahead)
    for _ in range(4):
        host.exchange(0.3, pause=1.37)
    assert host.clock.offset == timedelta(0)
    host.exchange(0.3, pause=1.37)
    assert abs(host.off) < 2


@pytest.mark.parametrize("ahead", [-3.0, 0.0, 3.0])
def test_a_clock_that_is_good_is_left_alone(ahead):
    host = Host(ahead)
    for _ in range(50):
        host.exchange(0.2, pause=1.13)
        assert host.clock.offset == timedelta(0)


def test_slow_answers_and_strange_dates_say_nothing():
    """One that took long was written at any moment of it; a cache's is old."""
    host = Host(600)
    for _ in range(20):
        host.exchange(30.0)
    for number in range(20):
        host.exchange(lie=-1000.0 * number)
    for date in (None, "", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT"):
        for _ in range(6):
            host.clock.learn(date, host.now())
    assert host.clock.offset == timedelta(0)


def test_a_host_that_is_set_right_is_believed_again():
    host = Host(HOUR)
    for _ in range(10):
        host.exchange()
    host.ahead = 0
    for _ in range(5):
        host.exchange()
    assert host.clock.offset == timedelta(0)


def test_a_date_far_off_is_wrong_where_the_gateway_takes_our_time():
    host = Host(lie=5 * HOUR)
    for _ in range(20):
        host.exchange()
    assert host.clock.offset == timedelta(0)


def client_of(app, gateway, ahead):
    return iop.Client(
        app, gateway, now=lambda: datetime.now(UTC) + timedelta(seconds=ahead), retry=None
    )


@pytest.fixture(params=["iop", "top"])
def dialect(request, url):
    """A gateway, an API of its, and the code by which it refuses a timestamp."""
    if request.param == "iop":
        return iop.gateways.Iop(url), API, "IllegalTimestamp"
    return iop.gateways.Top(f"{url}/router/rest"), "taobao.sandbox.echo", "31"


@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
async def test_a_host_three_hours_off_works(app, dialect, sandbox, ahead):
    """One refusal, which teaches; then nothing is refused."""
    gateway, api, code = dialect
    async with client_of(app, gateway, ahead) as client:
        for _ in range(5):
            await client.call(api)
        assert abs(client.now() - datetime.now(UTC)) < timedelta(seconds=30)
    assert sandbox.ledger.calls[api, code] == 1


@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
async def test_a_write_is_made_once_all_the_same(app, gateway, sandbox, ahead):
    async with client_of(app, gateway, ahead) as client:
        await client.call(API, idempotent=False)
    assert sandbox.ledger.calls[API, "0"] == 1


async def test_expiries_count_from_the_gateways_time(app, gateway, sandbox):
    async with client_of(app, gateway, 3 * HOUR) as client:
        token = await iop.auth.create_token(client, code=sandbox.authorize("1001"))
        assert abs(token.issued_at - datetime.now(UTC)) < timedelta(seconds=30)
        renewed = await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
        assert abs(renewed.issued_at - datetime.now(UTC)) < timedelta(seconds=30)


async def test_a_host_that_is_put_right_goes_on(app, gateway, sandbox):
    ahead = 3 * HOUR
    client = iop.Client(app, gateway, now=lambda: datetime.now(UTC) + timedelta(seconds=ahead))
    async with client:
        await client.call(API)
        ahead = 0
        for _ in range(3):
            await client.call(API)
    assert sandbox.ledger.calls[API, "IllegalTimestamp"] == 2


async def test_without_a_date_the_error_says_that_nothing_is_known(app, gateway, sandbox):
    sandbox.fail("headers", headers={"date": None}, times=None)
    async with client_of(app, gateway, 3 * HOUR) as client:
        with pytest.raises(iop.ClockError, match="the answer has no Date"):
            await client.call(API)
    assert sandbox.ledger.calls[API, "IllegalTimestamp"] == 1


@pytest.mark.parametrize("lie", [-9 * HOUR, 9 * HOUR])
async def test_a_date_that_is_wrong_does_no_harm_to_a_clock_that_is_right(
    app, gateway, sandbox, lie
):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=lie), usegmt=True)
    sandbox.fail("headers", headers={"date": date}, times=None)
    async with client_of(app, gateway, 0) as client:
        for _ in range(10):
            await client.call(API)
    assert sandbox.ledger.calls[API, "IllegalTimestamp"] == 0


@pytest.mark.parametrize("ahead", [-3 * HOUR, 3 * HOUR])
async def test_where_the_date_is_wrong_too_the_error_says_what_was_tried(
    app, gateway, sandbox, ahead
):
    """Each call tries both times anew, as either may be put right."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=9), usegmt=True)
    sandbox.fail("headers", headers={"date": date}, times=None)
    async with client_of(app, gateway, ahead) as client:
        with pytest.raises(iop.ClockError, match=r"by its Date, and .* refused as well") as caught:
            await client.call(API)
        assert caught.value.offset == pytest.approx(
            timedelta(seconds=ahead - 9 * HOUR), abs=timedelta(seconds=30)
        )
        assert abs(client.now() - datetime.now(UTC)) > timedelta(hours=2)
        sandbox.faults.clear()
        await client.call(API)


async def test_a_date_that_was_believed_and_is_wrong_is_given_up(app, gateway, sandbox):
    """An hour is within what is tolerated; a gateway that tolerates less says so."""
    top = iop.gateways.Top(gateway.base_url.replace("/rest", "/router/rest"))
    async with client_of(app, top, 0) as client:
        client._clock.offset = timedelta(hours=1)
        date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        sandbox.fail("headers", headers={"date": date}, times=None)
        for _ in range(3):
            await client.call("taobao.sandbox.echo")
        assert client._clock.offset == timedelta(0)
    assert sandbox.ledger.calls["taobao.sandbox.echo", "31"] == 1


async def test_a_batch_that_is_refused_for_its_time_is_made_again(app, gateway, sandbox):
    top = iop.gateways.Top(gateway.base_url.replace("/rest", "/router/rest"))
    async with client_of(app, top, HOUR) as client:
        assert len(await client.batch([iop.Call("taobao.sandbox.echo")] * 2)) == 2
    assert sandbox.ledger.calls["taobao.sandbox.echo", "0"] == 2


def test_the_managers_clock_is_the_gateways(app, gateway, tmp_path):
    """Unless it is given one of its own."""
    client = iop.Client(app, gateway)
    client._clock.offset = timedelta(hours=3)
    store = iop.stores.SQLiteStore(tmp_path / "tokens.db")
    tokens = iop.TokenManager(client, store)
    assert tokens._clock.now() - datetime.now(UTC) > timedelta(hours=2)
