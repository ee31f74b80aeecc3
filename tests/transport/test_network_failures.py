"""What a failure says: what went wrong, and whether anything was sent."""

import asyncio
import gc
import socket
import warnings

import anyio
import httpx
import pytest
from loopback import Server, answer
from services import free_port
from transport_helpers import (
    CANARY,
    assert_all_free,
    assert_no_secret,
    cut,
    failure_of,
    get,
    has_own_connections,
    post,
    reset,
    secretive,
    silence,
    slots_of,
    suppressed,
    trickle,
    until,
)

from iop_async import HttpxTransport, TransportError, TransportTimeout
from iop_async._transport import Timeouts


@pytest.mark.parametrize(
    ("respond", "error", "words"),
    [
        (silence, TransportTimeout, "no answer, or no more of it, within 0.1 s"),
        (trickle, TransportTimeout, "no complete answer within 0.5 s"),
        (reset, TransportError, "the connection broke"),
        (lambda *_: None, TransportError, "disconnected without sending a response"),
        (lambda *_: f"<{CANARY}>\r\n\r\n".encode(), TransportError, "illegal status line"),
        (
            lambda *_: answer(b"{}", **{"X " + CANARY: "1"}),
            TransportError,
            "illegal header line",
        ),
        (cut, TransportError, "the answer broke off"),
    ],
    ids=["silence", "trickle", "reset", "hang up", "garbage", "bad header", "cut"],
)
def test_failure_after_sending_may_have_been_applied(run, make_transport, respond, error, words):
    """... and shows no secret, not even in a traceback with locals."""

    async def scenario():
        # only where it is the subject: a slow machine must not take the one for the other
        timeouts = {silence: Timeouts(read=0.1), trickle: Timeouts(total=0.5)}
        async with make_transport(timeouts=timeouts.get(respond, Timeouts())) as transport:
            raised = await failure_of(transport, secretive(server), error)
            assert type(raised) is error
            assert raised.may_have_been_applied
            assert raised.retryable
            assert f"POST {server.base}/rest/order/get: " in str(raised)
            assert_no_secret(raised)
            raise raised

    with Server(respond) as server, pytest.raises(error, match=words):
        run(scenario)


def test_failure_to_connect_means_nothing_was_sent(run, make_transport):
    async def scenario():
        async with make_transport() as transport:
            request = post(f"http://127.0.0.1:{free_port()}/r?s={CANARY}", CANARY.encode())
            error = await failure_of(transport, request)
            assert type(error) is TransportError
            assert not error.may_have_been_applied
            assert "no connection (Connection refused)" in str(error)
            assert type(error.__cause__).__name__ == "ConnectError"
            assert_no_secret(error)

    run(scenario)


def test_unknown_host_means_nothing_was_sent(run, make_transport, monkeypatch):
    def getaddrinfo(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def scenario():
        async with make_transport() as transport:
            error = await failure_of(transport, get("http://gateway.invalid/rest"))
            assert not error.may_have_been_applied
            assert "Name or service not known" in str(error)

    run(scenario)


@pytest.mark.parametrize(
    ("timeouts", "words"),
    [
        (Timeouts(connect=0.1), "no connection within 0.1 s"),
        (Timeouts(total=0.1), "no complete answer within 0.1 s"),
    ],
)
def test_timeout_before_the_request_means_nothing_was_sent(run, make_transport, timeouts, words):
    """Here in the TLS handshake; the socket is closed at once, not when garbage is."""

    async def greet(reader, writer):
        while await reader.read(1000):
            pass

    async def scenario():
        async with make_transport(timeouts=timeouts) as transport:
            url = server.base.replace("http:", "https:")
            error = await failure_of(transport, get(url), TransportTimeout)
            assert not error.may_have_been_applied
            assert words in str(error)
            if has_own_connections(transport):
                await until(lambda: server.open == 0)

    with Server(greet=greet) as server, warnings.catch_warnings():
        run(scenario)
        # the pool of httpcore does forget the socket, and only the collector closes it
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize(
    ("timeouts", "words"),
    [
        (Timeouts(pool=0.1), "no connection came free within 0.1 s"),
        (Timeouts(total=0.1), "no complete answer within 0.1 s"),
    ],
)
def test_timeout_while_waiting_means_nothing_was_sent(run, door, timeouts, words):
    async def scenario():
        async with door(timeouts=timeouts, max_connections=1) as transport:
            slot = await slots_of(transport).acquire("calls")
            error = await failure_of(transport, secretive(server), TransportTimeout)
            assert not error.may_have_been_applied
            assert words in str(error)
            assert_no_secret(error)
            slots_of(transport).release(slot)
            assert_all_free(transport)

    with Server() as server:
        run(scenario)
    assert server.requests == []


def test_timeout_of_a_pool_of_the_users_means_nothing_was_sent(run):
    async def scenario():
        limits = httpx.Limits(max_connections=1)
        async with (
            httpx.AsyncClient(limits=limits) as client,
            anyio.create_task_group() as tasks,
        ):
            transport = HttpxTransport(client, timeouts=Timeouts(pool=0.1))
            tasks.start_soon(suppressed, transport.send, get(server.base))
            await until(lambda: server.requests)
            error = await failure_of(transport, get(server.base), TransportTimeout)
            assert not error.may_have_been_applied
            tasks.cancel_scope.cancel()

    with Server(silence) as server:
        run(scenario)


def test_write_that_is_stuck_times_out(run, make_transport):
    async def greet(reader, writer):
        await asyncio.sleep(60)

    async def scenario():
        async with make_transport(timeouts=Timeouts(write=0.1)) as transport:
            error = await failure_of(
                transport, post(server.base, b"x" * 20_000_000), TransportTimeout
            )
            assert "could not be sent within 0.1 s" in str(error)
            assert error.may_have_been_applied

    with Server(greet=greet) as server:
        run(scenario)


def test_bug_is_no_transport_error(run, make_transport):
    class Broken:
        def read(self, size):
            if size:
                raise ZeroDivisionError
            return b""

        def seekable(self):
            return False

    async def scenario():
        async with make_transport() as transport:
            await failure_of(transport, post(server.base, (Broken(),)), ZeroDivisionError)

    with Server() as server:
        run(scenario)


def test_group_of_errors_becomes_one_plain_error(run):
    def respond(request):
        raise ExceptionGroup("several", [ExceptionGroup("deeper", [httpx.ReadError(CANARY)])])

    async def scenario():
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            error = await failure_of(HttpxTransport(client), get("https://a.example/"))
            assert type(error) is TransportError

    run(scenario)


def test_transport_of_the_user_that_fails_oddly_is_a_transport_error(run):
    def respond(request):
        raise OSError(5, "Input/output error")

    async def scenario():
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            error = await failure_of(HttpxTransport(client), get("https://a.example/"))
            assert "Input/output error" in str(error)

    run(scenario)
