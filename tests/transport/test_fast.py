"""What is the fast door's alone: its event loops, its extra, and how it connects."""

import asyncio
import socket
import ssl
import subprocess
import sys
import tracemalloc
from importlib.util import find_spec

import anyio
import pytest
import trustme
from loopback import Server, answer
from services import free_port
from transport_helpers import failure_of, get, pool_of, post, until

import iop_async as iop
from iop_async import FastTransport, HttpRequest, TransportTimeout
from iop_async._fast import connections

LOOPS = ["asyncio", *(["uvloop"] if find_spec("uvloop") else [])]


def test_under_trio_it_names_the_other_transport(server):
    async def scenario():
        async with FastTransport() as transport:
            error = await failure_of(transport, get(server.base), RuntimeError)
            assert "under trio use HttpxTransport" in str(error)

    anyio.run(scenario, backend="trio")
    assert server.accepted == 0


def test_for_a_proxy_it_names_the_other_transport():
    with pytest.raises(ValueError, match=r"use HttpxTransport\(proxy=") as caught:
        FastTransport(proxy="http://user:password@proxy.example:3128")
    assert "password" not in str(caught.value)


@pytest.mark.parametrize("name", ["aiohappyeyeballs", "httptools"])
def test_what_is_missing_is_named_with_its_extra(name):
    code = f"""if True:
        import sys
        sys.modules[{name!r}] = None
        import iop_async
        try:
            iop_async.FastTransport()
        except ImportError as error:
            print(error)
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert shown.stdout == f"iop_async.FastTransport needs {name}: install iop-async[fast]\n"


def test_it_needs_neither_httpx_nor_httpcore(server):
    """... and is itself imported by nobody who does not use it."""
    code = """if True:
        import asyncio, sys
        import iop_async as iop
        before = {"httptools", "aiohappyeyeballs", "iop_async._fast"} & set(sys.modules)

        async def main():
            async with iop.FastTransport() as transport:
                await transport.send(iop.HttpRequest("GET", sys.argv[1]))

        asyncio.run(main())
        print(before or "", *({"httpx", "httpcore", "h11", "trio"} & set(sys.modules)))
    """
    script = [sys.executable, "-W", "error", "-c", code, server.base]
    shown = subprocess.run(script, capture_output=True, check=True, text=True)
    assert shown.stdout.strip() == ""


def test_an_answer_to_head_has_no_body(server):
    async def scenario():
        async with FastTransport() as transport:
            for _ in range(2):
                response = await transport.send(HttpRequest("HEAD", server.base))
                assert (response.headers["content-length"], response.content) == ("1000", b"")

    server.respond = lambda *_: b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    anyio.run(scenario)


def test_a_request_that_is_too_late_costs_no_connection(server):
    """Nothing was sent, so the next one takes it."""

    async def scenario():
        async with FastTransport() as transport:
            for _ in range(2):
                late = HttpRequest("GET", server.base, send_before=0.0)
                error = await failure_of(transport, late)
                assert not error.may_have_been_applied
                assert (await transport.send(get(server.base))).status == 200

    anyio.run(scenario)
    assert (server.accepted, len(server.requests)) == (1, 2)


def test_switching_protocols_is_refused():
    async def scenario():
        async with FastTransport() as transport:
            error = await failure_of(transport, get(server.base))
            assert "switches to another protocol" in str(error)

    reply = b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    with Server(lambda *_: reply) as server:
        anyio.run(scenario)


def addresses(monkeypatch, *found):
    """Have every host be at these addresses."""
    infos = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: infos)


def test_of_several_addresses_one_that_answers_is_enough(server, monkeypatch):
    async def scenario():
        async with FastTransport() as transport:
            assert (
                await transport.send(get(f"http://gateway.example:{server.port}"))
            ).status == 200

    addresses(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", server.port))
    anyio.run(scenario)


def test_an_address_that_stays_silent_holds_nobody_up(server, monkeypatch):
    """The next one is tried beside it, and what is still connecting is closed."""

    async def scenario():
        async with FastTransport() as transport:
            assert (
                await transport.send(get(f"http://gateway.example:{server.port}"))
            ).status == 200

    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            addresses(monkeypatch, full.getsockname(), ("127.0.0.1", server.port))
            monkeypatch.setattr(connections, "HAPPY_EYEBALLS_DELAY", 0.01)
            anyio.run(scenario)


def test_several_addresses_that_refuse_are_one_error(monkeypatch):
    async def scenario():
        async with FastTransport() as transport:
            error = await failure_of(transport, get("http://gateway.example"))
            assert "no connection (Connection refused)" in str(error)
            assert not error.may_have_been_applied

    addresses(monkeypatch, ("127.0.0.1", free_port()), ("127.0.0.1", free_port()))
    anyio.run(scenario)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_server_that_hangs_up_on_connecting_has_got_nothing(loop):
    """Where that is seen before the request is written; else nobody can say."""

    async def greet(reader, writer):
        writer.transport.abort()

    async def scenario():
        async with FastTransport() as transport:
            for _ in range(20):
                error = await failure_of(transport, get(server.base))
                assert error.retryable

    with Server(greet=greet) as server:
        anyio.run(scenario, backend_options={"use_uvloop": loop == "uvloop"})


@pytest.mark.parametrize("loop", LOOPS)
def test_tls_and_everything_that_ends_it(loop, monkeypatch):
    """Kept, closed, cut off without a word, cancelled in the handshake and after it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(trusted)
    monkeypatch.setattr("iop_async._fast.transport.tls_context", lambda: trusted)

    async def respond(received, writer):
        if received.target == "/hang":
            await received.reader.read()
            return None
        if received.target == "/cut":
            writer.write(answer(b"x" * 1000)[:-10])
            await writer.drain()
            writer.transport.abort()
            return None
        return answer(received.body)

    async def scenario():
        async with FastTransport() as transport:
            for size in (10, 100_000, 3_000_000):
                body = bytes(size)
                assert (await transport.send(post(server.base, body))).status == 200
            assert server.accepted == 1
            error = await failure_of(transport, get(f"{server.base}/cut"))
            assert error.may_have_been_applied
            with anyio.move_on_after(0.05):
                await transport.send(get(f"{server.base}/hang"))
            for patience in (0, 0.001, 0.002, 0.004):
                with anyio.move_on_after(patience):
                    await transport.send(get(f"{server.base}/hang"))
            await until(lambda: server.open == 0)
            assert pool_of(transport).open == 0
            assert (await transport.send(get(server.base))).status == 200
        await until(lambda: server.open == 0)

    with Server(respond, tls=context) as server:
        anyio.run(scenario, backend_options={"use_uvloop": loop == "uvloop"})


@pytest.mark.parametrize("loop", LOOPS)
def test_an_answer_to_half_of_an_upload_is_read_before_the_hangup(loop):
    """A gateway answers 413 and closes: what it said must not be lost to the failing write."""

    async def greet(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"too large", "413 Payload Too Large", Connection="close"))
        await writer.drain()
        writer.close()  # with the rest of the upload unread, so that this resets the connection

    async def scenario():
        statuses = []
        async with FastTransport() as transport:
            for _ in range(20):
                try:
                    statuses.append((await transport.send(post(server.base, big))).status)
                except iop.TransportError:
                    statuses.append(0)
        assert statuses.count(413) >= 10, statuses

    big = bytes(3_000_000)
    with Server(greet=greet) as server:
        anyio.run(scenario, backend_options={"use_uvloop": loop == "uvloop"})


def test_a_server_that_takes_nothing_does_not_fill_the_memory(tmp_path):
    async def greet(reader, writer):
        await asyncio.sleep(60)

    async def scenario():
        async with FastTransport(timeouts=iop.Timeouts(write=0.2)) as transport:
            error = await failure_of(
                transport, post(server.base, (tmp_path / "sparse",)), TransportTimeout
            )
            assert "could not be sent within 0.2 s" in str(error)

    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(100_000_000)
    tracemalloc.start()
    try:
        with Server(greet=greet) as server:
            anyio.run(scenario)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
