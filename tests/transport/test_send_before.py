"""What ``HttpRequest.send_before`` promises: nothing goes out once that moment is reached."""

import time

import anyio
import pytest
from loopback import Server, answer

import iop_async as iop
from iop_async import HttpRequest, HttpxTransport, TransportError
from iop_async._http import messages
from iop_async.stores import MemoryStore


async def assert_not_sent(transport, request):
    with pytest.raises(TransportError, match="not sent") as caught:
        await transport.send(request)
    assert not caught.value.may_have_been_applied
    assert caught.value.retryable


def test_a_request_goes_out_before_its_moment_or_not_at_all(run, make_transport, server):
    async def scenario():
        async with make_transport(max_connections=1) as transport:
            now = time.monotonic()
            await assert_not_sent(transport, HttpRequest("GET", server.base, send_before=now))
            in_time = HttpRequest("GET", f"{server.base}/in-time", send_before=now + 600)
            assert (await transport.send(in_time)).status == 200
            await assert_not_sent(transport, HttpRequest("GET", server.base, send_before=now))
            assert (await transport.send(HttpRequest("GET", f"{server.base}/any"))).status == 200

    run(scenario)
    assert [request.target for request in server.requests] == ["/in-time", "/any"]


def test_a_moment_that_comes_while_a_connection_is_waited_for_is_not_missed(
    run, make_transport, monkeypatch
):
    now = 1000.0
    monkeypatch.setattr(messages, "monotonic", lambda: now)

    async def scenario():
        nonlocal now
        now, go_on = 1000.0, anyio.Event()

        async def respond(received, writer):
            while not go_on.is_set():
                await anyio.sleep(0.001)
            return answer()

        with Server(respond) as server:
            async with (
                make_transport(max_connections=1) as transport,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(transport.send, HttpRequest("GET", server.base))
                while not server.requests:
                    await anyio.sleep(0.001)
                late = HttpRequest("GET", server.base, send_before=1001.0)
                tasks.start_soon(assert_not_sent, transport, late)
                await anyio.wait_all_tasks_blocked()
                now = 1002.0
                go_on.set()
            assert len(server.requests) == 1

    run(scenario)


async def test_a_transport_of_the_users_own_is_told_when_a_refresh_may_be_sent(sandbox, url):
    """It is asked for what :class:`HttpxTransport` does: no hidden channel leads past it."""
    seen = {}

    class Noting:
        async def send(self, request):
            seen["/" + request.url.partition("?")[0].rpartition("/")[2]] = request.send_before
            return await http.send(request)

        async def aclose(self):
            pass

    app = iop.App("123456", "helloworld")
    async with HttpxTransport() as http:
        client = iop.Client(app, iop.gateways.Iop(url), transport=Noting())
        async with iop.TokenManager(
            client, MemoryStore(), keeper=False, lease_seconds=60
        ) as tokens:
            seller = next(iter(sandbox.sellers))
            await tokens.authorize(sandbox.authorize(seller))
            before = time.monotonic()
            await tokens.refresh(seller)
            await tokens.seller(seller).call("/order/get", {"order_id": 1})
    assert seen.pop("/create") is None
    assert before < seen.pop("/refresh") <= time.monotonic() + 60
    assert seen == {"/get": None}
