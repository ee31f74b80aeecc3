"""Who waits for whom: one limit, in order, with a lane for tokens that calls never take."""

import anyio
import httpx
import pytest
from loopback import Server, answer
from transport_helpers import (
    assert_all_free,
    failure_of,
    get,
    has_own_connections,
    silence,
    slots_of,
    until,
)

import iop_async as iop
from iop_async import HttpRequest, HttpxTransport, TransportError, TransportTimeout
from iop_async._http.exchanges import PoolTimeout, QueueFull, Slots, reserved
from iop_async._transport import Timeouts


def for_a_token(url):
    return HttpRequest("GET", url, lane="tokens")


def hang_unless_token(received, writer):
    if "/auth/token/" in received.target:
        return answer(b'{"code":"0","access_token":"a","refresh_token":"r"}')
    return silence(received, writer)


@pytest.mark.parametrize("max_connections", [1, 8, 100])
def test_a_business_api_that_hangs_stops_no_refresh(run, make_transport, max_connections):
    """It takes every connection that calls can get, and more wait; refreshes go on."""

    async def call(client):
        with pytest.raises(TransportError, match="closed meanwhile"):
            await client.call("/order/get")

    async def scenario():
        async with make_transport(max_connections=max_connections) as transport:
            client = iop.Client(
                iop.App("k", "s"), iop.gateways.Iop(server.base), transport=transport
            )
            slots = slots_of(transport)
            async with anyio.create_task_group() as tasks:
                for _ in range(slots.free["calls"] + 20):
                    tasks.start_soon(call, client)
                await until(lambda: len(slots.waiting["calls"]) == 20)
                if has_own_connections(transport) or max_connections > 1:
                    for _ in range(5):
                        token = await iop.auth.refresh_token(client, refresh_token="r")
                        assert token.access_token == "a"
                await transport.aclose()

    with Server(hang_unless_token) as server:
        run(scenario)


@pytest.mark.parametrize("limit", [2, 10])
def test_calls_leave_room_for_tokens_in_a_client_of_few_connections(run, limit):
    """Its own limit is looked at: nobody has to say it twice."""

    async def scenario():
        limits = httpx.Limits(max_connections=limit)
        async with (
            httpx.AsyncClient(limits=limits, trust_env=False) as client,
            HttpxTransport(client) as transport,
            anyio.create_task_group() as tasks,
        ):
            for _ in range(slots_of(transport).free["calls"] + 5):
                tasks.start_soon(failure_of, transport, get(server.base))
            await until(lambda: len(slots_of(transport).waiting["calls"]) == 5)
            response = await transport.send(for_a_token(f"{server.base}/auth/token/x"))
            assert response.status == 200
            await transport.aclose()

    with Server(hang_unless_token) as server:
        run(scenario)


@pytest.mark.parametrize(
    ("api", "lane"),
    [
        ("/auth/token/create", "tokens"),
        ("/auth/token/security/refresh", "tokens"),
        ("taobao.top.auth.token.refresh", "tokens"),
        ("/order/get", "calls"),
        ("/auth/tokens", "calls"),
        ("aliexpress.author.token.x", "calls"),
    ],
)
async def test_the_api_of_a_call_decides_its_lane(api, lane):
    seen = []

    class Noting:
        async def send(self, request):
            seen.append(request.lane)
            return iop.HttpResponse(200, {}, b'{"code":"0"}')

        async def aclose(self):
            pass

    client = iop.Client(
        iop.App("k", "s"), iop.gateways.Iop("https://a.example"), transport=Noting()
    )
    await client.call(api)
    assert seen == [lane]


def test_calls_that_wait_are_bounded(run, make_transport):
    """One more is refused at once, and says what to do; a refresh is not."""

    async def scenario():
        async with (
            make_transport(max_connections=4, max_waiting=2) as transport,
            anyio.create_task_group() as tasks,
        ):
            slots = slots_of(transport)
            for _ in range(slots.free["calls"] + 2):
                tasks.start_soon(failure_of, transport, get(server.base))
            await until(lambda: len(slots.waiting["calls"]) == 2)
            error = await failure_of(transport, get(server.base))
            assert "2 calls wait for a connection; start fewer at a time" in str(error)
            assert error.retryable
            assert not error.may_have_been_applied
            response = await transport.send(for_a_token(f"{server.base}/auth/token/x"))
            assert response.status == 200
            await transport.aclose()

    with Server(hang_unless_token) as server:
        run(scenario)


def test_waiting_has_an_end(run, make_transport, server):
    async def scenario():
        timeouts = Timeouts(pool=0.02)
        async with make_transport(max_connections=1, timeouts=timeouts) as transport:
            slot = await slots_of(transport).acquire("calls")
            error = await failure_of(transport, get(server.base), TransportTimeout)
            assert "no connection came free within 0.02 s" in str(error)
            assert not error.may_have_been_applied
            slots_of(transport).release(slot)
            assert (await transport.send(get(server.base))).status == 200

    run(scenario)
    assert len(server.requests) == 1


def test_tokens_take_any_slot_and_are_served_first(run):
    async def scenario():
        slots = Slots(2, 1, wait=None, max_waiting=10)
        served = []

        async def ask(name, lane):
            served.append((name, await slots.acquire(lane)))

        async with anyio.create_task_group() as tasks:
            for name, lane in [("a", "tokens"), ("b", "tokens"), ("c", "tokens")]:
                await ask(name, lane)
            assert served == [("a", "calls"), ("b", "calls"), ("c", "tokens")]
            served.clear()
            for name, lane in [("d", "calls"), ("e", "calls"), ("f", "tokens"), ("g", "tokens")]:
                tasks.start_soon(ask, name, lane)
                await anyio.wait_all_tasks_blocked()
            for slot in ("tokens", "calls", "calls", "tokens", "calls"):
                slots.release(slot)
                await anyio.wait_all_tasks_blocked()
        assert served == [("f", "tokens"), ("g", "calls"), ("d", "calls"), ("e", "calls")]
        assert slots.free == {"calls": 0, "tokens": 1}

    run(scenario)


def test_a_slot_that_comes_together_with_a_cancellation_is_not_lost(run):
    async def scenario():
        slots = Slots(1, 1, wait=None, max_waiting=10)

        async def use():
            slots.release(await slots.acquire("calls"))

        slot = await slots.acquire("calls")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            await anyio.wait_all_tasks_blocked()
            slots.release(slot)
            tasks.cancel_scope.cancel()
        assert slots.free == {"calls": 1, "tokens": 1}
        assert not any(slots.waiting.values())

    run(scenario)


def test_errors_of_waiting_cost_no_slot(run):
    async def scenario():
        slots = Slots(1, 1, wait=0.01, max_waiting=1)
        slot = await slots.acquire("calls")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_timeout, slots)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(QueueFull):
                await slots.acquire("calls")
        slots.release(slot)
        assert slots.free == {"calls": 1, "tokens": 1}
        assert not any(slots.waiting.values())

    async def expect_timeout(slots):
        with pytest.raises(PoolTimeout):
            await slots.acquire("calls")

    run(scenario)


@pytest.mark.parametrize(
    ("connections", "for_tokens"), [(1, 1), (4, 1), (12, 3), (32, 8), (1000, 8)]
)
def test_a_few_connections_are_for_tokens(connections, for_tokens):
    assert reserved(connections) == for_tokens


def test_connections_stay_below_both_limits_together(run, door):
    """Counted at the server: those of calls, and the few for tokens."""

    async def respond(received, writer):
        await anyio.sleep(0.002)
        return answer()

    async def scenario():
        async with door(max_connections=4) as transport:
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(transport.send, get(f"{server.base}/{number}"))
                    tasks.start_soon(transport.send, for_a_token(f"{server.base}/{number}"))
            assert_all_free(transport)

    with Server(respond) as server:
        run(scenario)
    assert len(server.requests) == 60
    assert server.most_open <= 5
