"""Bans, limits and the circuit breaker, as a server sees them."""

import json
from collections import Counter
from time import monotonic

import anyio
import pytest
from loopback import InFlight, Server, answer

import iop_async as iop
from iop_async.calling import _gates

APP = iop.App("k", "s")
DONE = answer(b'{"code":"0","data":{}}')


@pytest.fixture
def server(server):
    """One that answers."""
    server.respond = lambda received, writer: DONE
    return server


def client_of(server, **options):
    return iop.Client(APP, iop.gateways.Iop(server.base), **options)


def refusal(code, message="", **fields):
    body = {"code": code, "type": "ISV", "message": message, "request_id": "r", **fields}
    return answer(json.dumps(body).encode())


class Banning:
    """Bans for a second, from the first call on; counts what it refuses."""

    def __init__(self, code="ApiCallLimit", seconds=1.0):
        self.code, self.seconds = code, seconds
        self.refused = self.taken = 0
        self.until = None

    def __call__(self, received, writer):
        now = monotonic()
        self.until = self.until or now + self.seconds
        if now < self.until:
            self.refused += 1
            return refusal(self.code, f"this ban will last {self.seconds:g} seconds")
        self.taken += 1
        return DONE


def test_a_ban_refuses_those_who_were_on_their_way_and_nobody_after(run, server):
    """Twenty callers, each of whom goes on at once; a second of ban."""
    server.respond = banning = Banning()

    async def keep_calling(client):
        for _ in range(3):
            await client.call("/order/ship")

    async def scenario():
        async with client_of(server) as client, anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(keep_calling, client)

    run(scenario)
    assert banning.refused <= 40
    assert banning.taken == 60


@pytest.mark.parametrize(
    ("code", "held"),
    [
        ("ApiCallLimit", {"/a"}),
        ("SellerCallLimit", {"/a", "/b"}),
        ("AppCallLimit", {"/a", "/b", "other seller"}),
    ],
)
def test_a_ban_holds_for_what_its_code_names(run, server, code, held):
    """The API, the seller, or the app."""
    banned = refusal(code, "this ban will last 300 seconds")
    server.respond = lambda received, writer: banned if len(server.requests) == 1 else DONE

    async def scenario():
        async with client_of(server) as client:
            mine, other = client.as_seller("token1"), client.as_seller("token2")
            with pytest.raises(iop.Throttled):
                await mine.call("/a")
            stopped = set()
            for name, caller, api in (
                ("/a", mine, "/a"),
                ("/b", mine, "/b"),
                ("other seller", other, "/b"),
            ):
                try:
                    await caller.call(api)
                except iop.Throttled as error:
                    assert error.tries == 0
                    assert "Not sent" in str(error)
                    assert 290 < error.retry_after <= 301
                    stopped.add(name)
            return stopped

    assert run(scenario) == held
    assert len(server.requests) == 4 - len(held)


def test_a_ban_that_is_over_holds_nobody_up_by_what_fails_after_it(run, server):
    """Answers of other kinds say that the gateway lets calls through."""
    replies = iter([refusal("ApiCallLimit", "this ban will last 0 seconds")])
    server.respond = lambda received, writer: next(replies, refusal("ITEM_NOT_FOUND"))

    async def scenario():
        async with client_of(server) as client:
            for _ in range(20):
                with pytest.raises(iop.ApiError, match="ITEM_NOT_FOUND"):
                    await client.call("/order/get")

    run(scenario)
    assert len(server.requests) == 21


def test_three_refusals_of_the_app_open_the_breaker(run, server):
    """Then calls of every API fail fast, with the reason and the advice."""
    server.respond = lambda received, writer: refusal("AppWhiteIpLimit", "not on the list")

    async def scenario():
        async with client_of(server) as client:
            for api in ("/a", "/b", "/c"):
                with pytest.raises(iop.PermissionDenied):
                    await client.call(api)
            for api in ("/a", "/d"):
                with pytest.raises(iop.PermissionDenied, match=r"IP list.*Not sent") as caught:
                    await client.call(api)
                assert caught.value.code == "AppWhiteIpLimit"
                assert 0 < caught.value.retry_after <= 6

    run(scenario)
    assert len(server.requests) == 3


def test_a_call_that_is_odd_by_itself_stops_no_others(run, server):
    """Successes between the refusals say that the app is well."""
    server.respond = lambda received, writer: (
        refusal("IncompleteSignature") if "odd" in received.target else DONE
    )

    async def scenario():
        async with client_of(server) as client:
            for _ in range(10):
                with pytest.raises(iop.SignatureError):
                    await client.call("/odd")
                await client.call("/even")

    run(scenario)
    assert len(server.requests) == 20


async def test_one_probe_at_a_time_finds_out_that_the_app_is_well_again(server, monkeypatch):
    """Of fifty calls one goes out; when it came through, all do."""
    waiting, well = anyio.Event(), False

    async def respond(received, writer):
        if not well:
            return refusal("InvalidAppKey")
        return DONE

    server.respond = respond
    async with client_of(server) as client:
        clock = client._dispatcher._clock
        passed = 0.0
        monkeypatch.setattr(type(clock), "monotonic", lambda self: monotonic() + passed)
        for _ in range(3):
            with pytest.raises(iop.PermissionDenied):
                await client.call("/order/get")
        passed, well = 100.0, True
        outcomes = Counter()

        async def call():
            try:
                await client.call("/order/get")
                outcomes["through"] += 1
            except iop.PermissionDenied as error:
                assert error.tries == 0
                outcomes["not sent"] += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(call)
        assert outcomes == {"through": 1, "not sent": 49}
        for _ in range(10):
            await client.call("/order/get")
        assert not client._dispatcher._gates.are_any
    assert len(server.requests) == 14
    waiting.set()


def test_calls_are_begun_evenly(run, server):
    moments = []
    server.respond = lambda received, writer: moments.append(monotonic()) or DONE

    async def scenario():
        limits = iop.Limits(per_second=50)
        async with client_of(server, limits=limits) as client, anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(client.call, "/order/get")

    run(scenario)
    assert moments[-1] - moments[0] >= 29 / 50 - 0.05


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (iop.Limits(in_flight=4), 4),
        (iop.Limits(apis={"/rest/a": iop.Limits(in_flight=2)}), 2),
        (iop.Limits(each_seller=iop.Limits(in_flight=3)), 6),
    ],
    ids=["app", "api", "seller"],
)
def test_no_more_are_in_flight_than_allowed(run, limits, most):
    gateway = InFlight(lambda *_: DONE)

    async def scenario():
        async with client_of(server, limits=limits) as client, anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(client.as_seller(f"token{number % 2}").call, "/a")

    with Server(gateway) as server:
        run(scenario)
    assert len(gateway.seen) == 40
    assert max(gateway.seen) == most


def test_a_seller_with_a_thousand_calls_keeps_no_other_waiting(run):
    order = []

    async def respond(received, writer):
        order.append(b"token2" in received.body)
        return DONE

    async def scenario():
        limits = iop.Limits(per_second=2000, in_flight=1)
        async with client_of(server, limits=limits) as client, anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(client.as_seller("token1").call, "/a")
            await anyio.sleep(0.05)
            await client.as_seller("token2").call("/a")
            order.append(None)
            tasks.cancel_scope.cancel()

    with Server(respond) as server:
        run(scenario)
    assert len(order) < 900


def test_a_turn_that_does_not_come_in_time_is_told(run, server):
    async def scenario():
        limits = iop.Limits(per_second=0.1)
        async with client_of(server, limits=limits) as client:
            await client.call("/a")
            with pytest.raises(iop.Throttled, match="ClientLimit: not sent"):
                await client.call("/a", timeout=0.1)

    run(scenario)
    assert len(server.requests) == 1


def test_a_refresh_waits_for_no_turn_and_is_counted(run, server):
    token = {"access_token": "a", "refresh_token": "r", "expires_in": 100, "code": "0"}
    server.respond = lambda received, writer: answer(json.dumps(token).encode())

    async def scenario():
        limits = iop.Limits(per_second=0.01)
        async with client_of(server, limits=limits) as client:
            for _ in range(3):
                await iop.auth.refresh_token(client, refresh_token="r")
            with pytest.raises(iop.Throttled):
                await client.call("/a", timeout=0.1)

    run(scenario)
    assert len(server.requests) == 3


def test_those_who_wait_are_bounded(run, server, monkeypatch):
    monkeypatch.setattr(_gates, "_MAX_WAITING", 10)
    failures = []

    async def call(client):
        try:
            await client.call("/a", timeout=0.5)
        except iop.IopError as error:
            failures.append(error)

    async def scenario():
        limits = iop.Limits(per_second=0.1)
        async with client_of(server, limits=limits) as client, anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(call, client)

    run(scenario)
    kinds = Counter(type(error) for error in failures)
    assert kinds[iop.TransportError] >= 10
    assert kinds[iop.Throttled] >= 10
    assert all(not error.may_have_been_applied for error in failures)


def test_gates_of_sellers_come_and_go(run, server, monkeypatch):
    monkeypatch.setattr(_gates, "_MANY", 10)

    async def scenario():
        limits = iop.Limits(each_seller=iop.Limits(in_flight=1))
        async with client_of(server, limits=limits) as client:
            for number in range(100):
                await client.as_seller(f"token{number}").call("/a")
            return len(client._dispatcher._gates._here.here()._gates)

    assert run(scenario) <= 10


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"per_second": 0}, ValueError),
        ({"per_second": "20"}, ValueError),
        ({"in_flight": 0}, ValueError),
        ({"in_flight": 2.5}, TypeError),
        ({"apis": [("/a", iop.Limits())]}, TypeError),
        ({"apis": {"/a": 20}}, TypeError),
        ({"apis": {"/a": iop.Limits(each_seller=iop.Limits())}}, ValueError),
        ({"each_seller": 5}, TypeError),
    ],
)
def test_a_bad_limit_says_what_to_give(wrong, error):
    (name,) = wrong
    with pytest.raises(error, match=f"{name}.*; give"):
        iop.Limits(**wrong)
