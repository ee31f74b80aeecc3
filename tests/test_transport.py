"""What :class:`HttpxTransport` promises, over real sockets, under asyncio and trio."""

import asyncio
import gc
import gzip
import io
import logging
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import traceback
import tracemalloc
import types
import warnings
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import httpcore
import httpx
import pytest
import respx
import trustme
from loopback import Server, answer

from iop_async import HttpRequest, HttpxTransport, ProtocolError, TransportError, TransportTimeout
from iop_async import _transport as transport_module
from iop_async._http.connections import PoolRoute
from iop_async._http.incoming import Incoming
from iop_async._transport import Timeouts
from iop_async.protocols import Transport

CANARY = "CANARY-500a-token"
TRICKY = "/rest/a~b/*c?a=%7B%22x%22%3A%20%22+%22%7d&b=x+y%20z&c=~*!$'(),;:@/?&d=%E6%B7%98&e=&=f"
TLS = httpx.create_ssl_context()
FORM = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}


@pytest.fixture(params=["own connections", "a client of the user's"])
def make_transport(request):
    """A transport of either kind, as a context manager."""

    class Maker:
        client = None

        def __init__(self, **options):
            self.options = options

        async def __aenter__(self):
            if request.param == "a client of the user's":
                self.client = httpx.AsyncClient(trust_env=False, verify=TLS)
            self.transport = HttpxTransport(self.client, **self.options)
            return self.transport

        async def __aexit__(self, *exc_info):
            await self.transport.aclose()
            if self.client is not None:
                await self.client.aclose()

    return Maker


def post(url, body=b"", headers=FORM):
    return HttpRequest("POST", url, headers, body)


def get(url):
    return HttpRequest("GET", url)


def secretive(server):
    return post(f"{server.base}/rest/order/get?session={CANARY}", f"token={CANARY}".encode())


async def failure_of(transport, request, error=TransportError):
    with pytest.raises(error) as caught:
        await transport.send(request)
    return caught.value


def report(error):
    """What an error reporter would show: everything, locals included."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown.stack[:] = [frame for frame in shown.stack if frame.filename != __file__]
    return "".join(shown.format()) + repr(error) + str(error)


def assert_no_secret(error):
    shown = report(error)
    assert "_exchange" in shown
    assert CANARY not in shown


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def open_files():
    """Regular files that this process has open."""
    files = (Path(os.path.realpath(entry)) for entry in Path("/proc/self/fd").iterdir())
    return sorted(file for file in files if file.is_file())


async def until(condition):
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.002)


def assert_all_free(transport):
    pool = transport._route.pool
    assert pool.free_slots == pool._limit
    assert pool.open == pool.idle


# ------------------------------------------------------------------ what is sent


class TestRequest:
    def test_target_and_body_are_sent_byte_for_byte(self, run, make_transport, server):
        """A signature covers text: nothing may be encoded again on the way."""
        body = b"a=%7b+%20~*&b=\xe6\xb7\x98"

        async def scenario():
            async with make_transport() as transport:
                await transport.send(post(server.base + TRICKY, body))
                await transport.send(get(server.base + TRICKY))

        run(scenario)
        assert [request.target for request in server.requests] == [TRICKY, TRICKY]
        assert [request.body for request in server.requests] == [body, b""]

    def test_headers_are_these_and_no_others(self, run, make_transport, server):
        async def scenario():
            async with make_transport() as transport:
                await transport.send(post(f"{server.base}/rest", b"a=1"))
                await transport.send(get(f"{server.base}/rest?a=1"))
                await transport.send(post(f"{server.base}/rest"))

        run(scenario)
        first, second, third = (request.headers for request in server.requests)
        assert first.pop("user-agent").startswith("iop-async/")
        assert first == {
            "host": f"127.0.0.1:{server.port}",
            "accept-encoding": "gzip",
            "content-type": FORM["content-type"],
            "content-length": "3",
        }
        assert "content-length" not in second
        assert third["content-length"] == "0"

    def test_query_without_path_goes_to_the_root(self, run, make_transport, server):
        async def scenario():
            async with make_transport() as transport:
                await transport.send(get(f"{server.base}?a=1"))
                await transport.send(get(server.base.upper().replace("HTTP", "HtTp")))

        run(scenario)
        assert [request.target for request in server.requests] == ["/?a=1", "/"]

    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("https://Api.Example.com/rest", b"api.example.com"),
            ("https://api.example.com:443/rest", b"api.example.com"),
            ("http://api.example.com:8080", b"api.example.com:8080"),
            ("http://[::1]:8080/rest", b"[::1]:8080"),
            ("https://b\u00fccher.example/rest", b"xn--bcher-kva.example"),
        ],
    )
    def test_host_header_names_the_port_where_it_is_unusual(self, url, host):
        outgoing = HttpxTransport()._prepare(get(url), None)
        assert dict(outgoing.headers)[b"host"] == host

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://a.example/",
            "https:///rest",
            "/rest",
            f"https://a.example/?x={CANARY}\u6dd8",
            f"https://a.example/ ?x={CANARY}",
            f"https://a.example/?x={CANARY}\r\nx: 1",
            f"https://a.example/?x={CANARY}#fragment",
            f"https://user:password@a.example/?x={CANARY}",
        ],
    )
    def test_url_that_cannot_be_sent_as_it_is_is_refused(self, run, url):
        async def scenario():
            error = await failure_of(HttpxTransport(), get(url), ValueError)
            assert CANARY not in report(error)

        run(scenario)

    def test_redirects_are_not_followed_and_cookies_not_kept(self, run, make_transport):
        def respond(received, writer):
            return answer(
                b"gone",
                "302 Found",
                Location="/elsewhere",
                Set_Cookie="gateway=1; Path=/",
            )

        async def scenario():
            async with make_transport() as transport:
                for _ in range(2):
                    response = await transport.send(get(f"{server.base}/rest"))
                    assert (response.status, response.content) == (302, b"gone")
                    assert response.headers["location"] == "/elsewhere"

        with Server(respond) as server:
            run(scenario)
        assert [request.target for request in server.requests] == ["/rest", "/rest"]
        assert not any("cookie" in request.headers for request in server.requests)

    def test_proxies_of_the_environment_are_not_used(self, run, server, monkeypatch):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

        async def scenario():
            async with HttpxTransport() as transport:
                assert (await transport.send(get(server.base))).status == 200

        run(scenario)

    def test_head_and_body_travel_in_one_piece(self, run):
        """One packet and one TLS record, not two."""
        pieces = []

        async def greet(reader, writer):
            pieces.append(await reader.read(65536))
            writer.write(answer())

        async def scenario():
            async with HttpxTransport() as transport:
                await transport.send(post(f"{server.base}/rest", b"a=1"))

        with Server(greet=greet) as server:
            run(scenario)
        assert pieces[0].startswith(b"POST /rest HTTP/1.1\r\n")
        assert pieces[0].endswith(b"\r\n\r\na=1")


# ------------------------------------------------------------------ a client of the user's


class TestClient:
    def test_nothing_of_the_client_gets_into_the_request(self, run, server):
        """The client's parameters would break the signature, its cookies belong elsewhere."""

        async def scenario():
            client = httpx.AsyncClient(
                headers={"x-extra": "1"},
                params={"extra": "1"},
                cookies={"extra": "1"},
                auth=("user", "password"),
                base_url="http://elsewhere.invalid",
                follow_redirects=True,
            )
            async with client:
                await HttpxTransport(client).send(post(server.base + TRICKY, b"a=1"))

        run(scenario)
        request = server.requests[0]
        assert request.target == TRICKY
        assert set(request.headers) == {
            "host",
            "user-agent",
            "accept-encoding",
            "content-type",
            "content-length",
        }

    def test_client_is_not_closed(self, run, server):
        async def scenario():
            async with httpx.AsyncClient() as client:
                async with HttpxTransport(client) as transport:
                    await transport.send(get(server.base))
                assert not client.is_closed
                assert (await client.get(server.base)).status_code == 200

        run(scenario)

    def test_subclass_of_a_client_is_a_client(self, run, server):
        class Traced(httpx.AsyncClient):
            pass

        async def scenario():
            async with Traced() as client, HttpxTransport(client) as transport:
                assert (await transport.send(get(server.base))).status == 200

        run(scenario)

    @pytest.mark.parametrize("client", [httpx.Client(), object(), "https://a.example"])
    def test_what_is_no_asynchronous_client_is_refused_at_once(self, client):
        with pytest.raises(TypeError, match=r"give an httpx\.AsyncClient"):
            HttpxTransport(client)

    def test_closed_client_says_so(self, run, server):
        async def scenario():
            client = httpx.AsyncClient()
            await client.aclose()
            await failure_of(HttpxTransport(client), get(server.base), RuntimeError)

        run(scenario)

    def test_fork_of_httpx_is_accepted(self, run, server):
        """httpx2 has the same shape; its own classes are used, not those of httpx."""
        httpx2 = pytest.importorskip("httpx2")

        async def scenario():
            async with httpx2.AsyncClient() as client, HttpxTransport(client) as transport:
                await transport.send(post(server.base + TRICKY, b"a=1"))
                unreachable = await failure_of(transport, get(f"http://127.0.0.1:{free_port()}/"))
                assert not unreachable.may_have_been_applied

        run(scenario)
        assert server.requests[0].target == TRICKY

    def test_classes_come_from_the_library_of_the_client(self):
        """... found on the client's own module, whatever its name."""
        fork = types.ModuleType("fork_of_httpx")
        fork.AsyncByteStream = httpx.AsyncByteStream
        fork.URL, fork.Request = type("URL", (httpx.URL,), {}), type("R", (httpx.Request,), {})
        fork.AsyncClient = type("AsyncClient", (), {"__module__": "fork_of_httpx._client"})
        sys.modules["fork_of_httpx"] = fork
        try:
            transport = HttpxTransport(fork.AsyncClient())
            outgoing = transport._prepare(get("https://a.example/?x=1"), None)
            request = transport._route._request(outgoing)
        finally:
            del sys.modules["fork_of_httpx"]
        assert type(request) is fork.Request
        assert isinstance(request.url, fork.URL)

    def test_log_of_httpx_shows_no_query(self, run, make_transport, server, caplog):
        """httpx logs the URL of every request; a GET has the token in it."""
        caplog.set_level(logging.DEBUG)

        async def scenario():
            async with make_transport() as transport:
                await transport.send(get(f"{server.base}/rest/a?access_token={CANARY}"))
                await transport.send(secretive(server))
                return isinstance(transport._route, PoolRoute)

        if not run(scenario):
            assert f"GET {server.base}/rest/a?***" in caplog.text
        assert CANARY in server.requests[0].target
        assert "httpcore" in caplog.text
        assert CANARY not in caplog.text

    def test_url_of_the_request_is_masked_wherever_it_is_text(self, run, server):
        """Instrumentations read ``str(request.url)`` or copy the URL; transports do not."""
        seen = []

        async def hook(request):
            seen.append(request.url)

        async def scenario():
            client = httpx.AsyncClient(event_hooks={"request": [hook]})
            async with client, HttpxTransport(client) as transport:
                await transport.send(get(f"{server.base}/rest/a?access_token={CANARY}"))

        run(scenario)
        url = seen[0]
        for text in (str(url), repr(url), str(httpx.URL(url)), str(url.copy_with(port=1))):
            assert CANARY not in text
            assert "/rest/a" in text
        assert url.raw_path.endswith(CANARY.encode())
        assert url.query.endswith(CANARY.encode())

    def test_answer_that_a_hook_has_read_is_not_decoded_twice(self, run):
        async def read(response):
            await response.aread()

        async def scenario():
            client = httpx.AsyncClient(event_hooks={"response": [read]})
            async with client, HttpxTransport(client) as transport:
                return await transport.send(get(server.base))

        with Server(lambda *_: answer(gzip.compress(b"{}"), Content_Encoding="gzip")) as server:
            assert run(scenario).content == b"{}"

    def test_mocks_of_httpx_work(self, run):
        def respond(request):
            assert request.content == b"a=1"
            return httpx.Response(200, content=b"{}")

        async def scenario():
            async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
                return await HttpxTransport(client).send(post("https://a.example/rest", b"a=1"))

        assert run(scenario).content == b"{}"

    def test_applications_can_be_called_without_a_network(self, run):
        async def application(scope, receive, send):
            assert scope["path"] == "/rest/a~b/*c"
            assert f"{scope['path']}?{scope['query_string'].decode()}" == TRICKY
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})

        async def scenario():
            asgi = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=asgi) as client:
                return await HttpxTransport(client).send(get(f"http://localhost{TRICKY}"))

        assert run(scenario).content == b"{}"

    def test_error_of_somebody_elses_transport_is_not_trusted(self, run):
        """httpx-aiohttp calls a server that hung up, after the request, a ConnectTimeout."""

        class ServerDisconnected(Exception):
            pass

        def respond(request):
            raise httpx.ConnectTimeout("") from ServerDisconnected()

        async def scenario():
            async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
                error = await failure_of(HttpxTransport(client), get("https://a.example"))
                assert error.may_have_been_applied

        run(scenario)


# ------------------------------------------------------------------ what comes back


class TestAnswer:
    def get(self, run, make_transport, reply, **options):
        async def scenario():
            async with make_transport(**options) as transport:
                return await transport.send(get(f"{server.base}/rest?x={CANARY}"))

        with Server(lambda *_: reply) as server:
            return run(scenario)

    def test_headers_are_text_with_lower_case_names(self, run, make_transport):
        lines = b"X-ONE: caf\xe9\r\nX-Two: a\r\nx-two: b\r\nContent-Length: 0\r\n\r\n"
        reply = b"HTTP/1.1 200 OK\r\n" + lines
        response = self.get(run, make_transport, reply)
        assert response.headers == {"x-one": "caf\xe9", "x-two": "a, b", "content-length": "0"}

    @pytest.mark.parametrize(
        ("encoding", "encode"),
        [
            ("gzip", gzip.compress),
            ("X-GZIP", gzip.compress),
            ("deflate", zlib.compress),
            ("deflate", lambda data: zlib.compress(data)[2:-4]),
            ("identity", bytes),
        ],
    )
    def test_compressed_answer_is_decoded(self, run, make_transport, encoding, encode):
        content = os.urandom(50_000) * 4
        reply = answer(encode(content), Content_Encoding=encoding)
        assert self.get(run, make_transport, reply).content == content

    def test_empty_answer_may_claim_to_be_compressed(self, run, make_transport):
        reply = answer(b"", "204 No Content", Content_Encoding="gzip")
        assert self.get(run, make_transport, reply).content == b""

    def test_chunked_answer_is_put_together(self, run, make_transport):
        reply = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n"
        )
        assert self.get(run, make_transport, reply).content == b"{} "

    @pytest.mark.parametrize(
        ("reply", "words"),
        [
            (answer(b"\x1f\x8b" + b"x" * 100, Content_Encoding="gzip"), "corrupt"),
            (
                answer(gzip.compress(b"x" * 9999, mtime=0)[:-9], Content_Encoding="gzip"),
                "cut short",
            ),
            (answer(b"x" * 100, Content_Encoding="br"), "'br'"),
            (answer(b"x" * 10_001), "larger than 10000 bytes"),
            (
                answer(gzip.compress(b"x" * 10_001, mtime=0), Content_Encoding="gzip"),
                "larger than 10000",
            ),
        ],
    )
    def test_unreadable_answer_is_a_protocol_error(self, run, make_transport, reply, words):
        with pytest.raises(ProtocolError, match=words) as caught:
            self.get(run, make_transport, reply, max_answer_bytes=10_000)
        assert caught.value.status == 200
        assert "GET http://127.0.0.1:" in str(caught.value)
        assert_no_secret(caught.value)

    def test_corruption_in_the_middle_is_noticed(self):
        packed = gzip.compress(os.urandom(1000))
        incoming = Incoming(200, [(b"content-encoding", b"gzip")], 10_000)
        incoming.feed(packed[:500])
        incoming.feed(packed[500:-8] + bytes(8))
        incoming.feed(b"and more of it")
        with pytest.raises(ProtocolError, match="corrupt"):
            incoming.response(str)

    def test_what_follows_the_compressed_data_is_left_out(self):
        incoming = Incoming(200, [(b"content-encoding", b"gzip")], 10_000)
        incoming.feed(gzip.compress(b"{}") + b"\0\0")
        incoming.feed(b"\0")
        assert incoming.response(str).content == b"{}"

    def test_error_of_a_cut_answer_keeps_what_could_be_read(self, run, make_transport):
        """It may hold the only copy of a fresh token."""
        token = f'{{"access_token": "{CANARY}"}}'.encode()
        packed = zlib.compressobj(wbits=31)
        reply = packed.compress(token) + packed.flush(zlib.Z_SYNC_FLUSH)
        with pytest.raises(ProtocolError) as caught:
            self.get(run, make_transport, answer(reply, Content_Encoding="gzip"))
        assert caught.value.content == token
        assert_no_secret(caught.value)

    def test_answer_may_be_as_large_as_the_limit(self, run, make_transport):
        reply = answer(gzip.compress(b"x" * 10_000), Content_Encoding="gzip")
        response = self.get(run, make_transport, reply, max_answer_bytes=10_000)
        assert len(response.content) == 10_000

    def test_bomb_does_not_fill_the_memory(self, run, make_transport):
        bomb = answer(gzip.compress(bytes(60_000_000), 1), Content_Encoding="gzip")
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="larger than"):
                self.get(run, make_transport, bomb, max_answer_bytes=1_000_000)
            assert tracemalloc.get_traced_memory()[1] < 20_000_000
        finally:
            tracemalloc.stop()

    def test_endless_answer_is_given_up_and_its_connection_closed(self, run, make_transport):
        async def respond(received, writer):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with suppress(ConnectionError):
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()

        async def scenario():
            async with make_transport(max_answer_bytes=1_000_000) as transport:
                await failure_of(transport, get(server.base), ProtocolError)
                await until(lambda: server.open == 0)

        with Server(respond) as server:
            run(scenario)


# ------------------------------------------------------------------ what goes wrong


async def silence(received, writer):
    await received.reader.read()


def reset(received, writer):
    writer.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


def cut(received, writer):
    writer.write(answer(CANARY.encode())[:-3])


async def trickle(received, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


class TestFailure:
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
    def test_failure_after_sending_may_have_been_applied(
        self, run, make_transport, respond, error, words
    ):
        """... and shows no secret, not even in a traceback with locals."""

        async def scenario():
            timeouts = Timeouts(read=0.1, total=0.5)
            async with make_transport(timeouts=timeouts) as transport:
                raised = await failure_of(transport, secretive(server), error)
                assert type(raised) is error
                assert raised.may_have_been_applied
                assert raised.retryable
                assert f"POST {server.base}/rest/order/get: " in str(raised)
                assert_no_secret(raised)
                raise raised

        with Server(respond) as server, pytest.raises(error, match=words):
            run(scenario)

    def test_failure_to_connect_means_nothing_was_sent(self, run, make_transport):
        async def scenario():
            async with make_transport() as transport:
                request = post(f"http://127.0.0.1:{free_port()}/r?s={CANARY}", CANARY.encode())
                error = await failure_of(transport, request)
                assert type(error) is TransportError
                assert not error.may_have_been_applied
                assert "no connection (Connection refused)" in str(error)
                assert isinstance(error.__cause__, httpcore.ConnectError | httpx.ConnectError)
                assert_no_secret(error)

        run(scenario)

    def test_unknown_host_means_nothing_was_sent(self, run, make_transport, monkeypatch):
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
    def test_timeout_before_the_request_means_nothing_was_sent(
        self, run, make_transport, timeouts, words
    ):
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
                if isinstance(transport._route, PoolRoute):
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
    def test_timeout_while_waiting_means_nothing_was_sent(self, run, timeouts, words):
        async def scenario():
            async with HttpxTransport(timeouts=timeouts, max_connections=1) as transport:
                connection = await transport._route.pool.acquire(server.base)
                error = await failure_of(transport, secretive(server), TransportTimeout)
                assert not error.may_have_been_applied
                assert words in str(error)
                assert_no_secret(error)
                await transport._route.pool.release(connection)
                assert_all_free(transport)

        with Server() as server:
            run(scenario)
        assert server.requests == []

    def test_timeout_of_a_pool_of_the_users_means_nothing_was_sent(self, run):
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

    def test_write_that_is_stuck_times_out(self, run, make_transport):
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

    def test_bug_is_no_transport_error(self, run, make_transport):
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

    def test_group_of_errors_becomes_one_plain_error(self, run):
        def respond(request):
            raise ExceptionGroup("several", [ExceptionGroup("deeper", [httpx.ReadError(CANARY)])])

        async def scenario():
            async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
                error = await failure_of(HttpxTransport(client), get("https://a.example/"))
                assert type(error) is TransportError

        run(scenario)

    def test_transport_of_the_user_that_fails_oddly_is_a_transport_error(self, run):
        def respond(request):
            raise OSError(5, "Input/output error")

        async def scenario():
            async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
                error = await failure_of(HttpxTransport(client), get("https://a.example/"))
                assert "Input/output error" in str(error)

        run(scenario)


class TestTls:
    @pytest.fixture
    def authority(self):
        return trustme.CA()

    @pytest.fixture
    def server(self, authority):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        with Server(tls=context) as server:
            yield server

    @pytest.fixture(autouse=True)
    def fresh_context(self, monkeypatch):
        """The context of the process is made once; these tests need others."""
        fresh = transport_module.cache(transport_module.tls_context.__wrapped__)
        monkeypatch.setattr(transport_module, "tls_context", fresh)
        return fresh

    def test_certificate_of_nobody_known_is_refused(self, run, make_transport, server):
        async def scenario():
            async with make_transport() as transport:
                error = await failure_of(transport, secretive(server))
                assert not error.may_have_been_applied
                assert "certificate verify failed" in str(error)
                assert_no_secret(error)
                if isinstance(transport._route, PoolRoute):
                    assert_all_free(transport)

        run(scenario)
        assert server.requests == []

    def test_authority_in_ssl_cert_file_is_trusted(
        self, run, authority, server, monkeypatch, tmp_path, fresh_context
    ):
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

        async def scenario():
            async with HttpxTransport() as transport, HttpxTransport() as another:
                for _ in range(3):
                    response = await transport.send(post(f"{server.base}/rest", b"x" * 100_000))
                    assert response.content == b"{}"
                await another.send(get(server.base))

        run(scenario)
        assert server.accepted == 2
        assert fresh_context.cache_info().misses == 1

    def test_what_comes_after_an_answer_is_not_the_next_answer(
        self, run, authority, monkeypatch, tmp_path, fresh_context
    ):
        """... not even from within the TLS machinery; see the test of the same name below."""
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        with Server(answers_twice, tls=context) as server:
            run(partial(each_gets_its_own, server, 10))

    def test_certificate_file_that_is_missing_is_named(self, run, server, monkeypatch, tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))

        async def scenario():
            async with HttpxTransport() as transport:
                error = await failure_of(transport, get(server.base), ValueError)
                assert "SSL_CERT_FILE" in str(error)
                assert_all_free(transport)

        run(scenario)

    def test_certificate_for_another_host_is_refused(
        self, run, authority, server, monkeypatch, tmp_path
    ):
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

        async def scenario():
            async with HttpxTransport() as transport:
                url = server.base.replace("localhost", "127.0.0.1")
                error = await failure_of(transport, get(url))
                assert "certificate verify failed" in str(error)

        run(scenario)


# ------------------------------------------------------------------ uploads


class TestUpload:
    def send(self, run, make_transport, body):
        async def scenario():
            async with make_transport() as transport:
                return await transport.send(post(f"{server.base}/upload", body))

        with Server() as server:
            run(scenario)
        (received,) = server.requests
        return received

    def test_pieces_are_sent_in_order_with_their_length(self, run, make_transport, tmp_path):
        (tmp_path / "one").write_bytes(b"1" * 300_000)
        with io.BytesIO(b"22222") as two:
            body = (b"<", tmp_path / "one", b"|", two, b">")
            received = self.send(run, make_transport, body)
        assert received.body == b"<" + b"1" * 300_000 + b"|22222>"
        assert received.headers["content-length"] == "300008"
        assert "transfer-encoding" not in received.headers

    def test_large_body_of_bytes_is_sent_in_pieces(self, run, make_transport):
        """The write timeout is for a piece: 4 MB of image must not need 4 MB within it."""
        body = os.urandom(1_000_000)
        assert self.send(run, make_transport, body).crc == zlib.crc32(body)

    def test_open_file_is_sent_from_where_it_stands_and_stays_there(
        self, run, make_transport, tmp_path
    ):
        """So the call can be repeated with the same file."""
        (tmp_path / "file").write_bytes(b"0123456789")
        with (tmp_path / "file").open("rb") as file:
            file.seek(4)
            for _ in range(2):
                received = self.send(run, make_transport, (file,))
                assert (received.body, received.headers["content-length"]) == (b"456789", "6")
                assert not file.closed
                assert file.tell() == 4

    def test_file_that_only_can_be_read_is_sent_chunked(self, run, make_transport):
        read, write = os.pipe()
        os.write(write, b"x" * 1000)
        os.close(write)
        with os.fdopen(read, "rb", buffering=0) as pipe:
            received = self.send(run, make_transport, (b"<", pipe, b">"))
        assert received.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in received.headers
        assert received.body == b"<" + b"x" * 1000 + b">"

    @pytest.mark.parametrize("kind", ["open file", "path"])
    def test_pipe_that_stays_silent_keeps_to_the_deadline(
        self, run, make_transport, tmp_path, kind
    ):
        os.mkfifo(tmp_path / "pipe")
        silent = os.open(tmp_path / "pipe", os.O_RDWR)

        async def scenario():
            with (tmp_path / "pipe").open("rb", buffering=0) as pipe:
                body = (pipe,) if kind == "open file" else (tmp_path / "pipe",)
                async with make_transport(timeouts=Timeouts(total=0.1)) as transport:
                    try:
                        await failure_of(transport, post(server.base, body), TransportTimeout)
                    finally:
                        os.write(silent, b"the thread that waits for this ends")

        with Server() as server:
            run(scenario)
        os.close(silent)

    def test_large_file_is_never_in_memory(self, make_transport, tmp_path):
        with (tmp_path / "sparse").open("wb") as file:
            file.truncate(200_000_000)
        tracemalloc.start()
        try:
            received = self.send(anyio.run, make_transport, (b"<", tmp_path / "sparse", b">"))
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()
        assert received.size == 200_000_002

    @pytest.mark.parametrize("name", ["missing", "directory", "file/below"])
    def test_file_that_cannot_be_opened_stops_the_call_before_it_begins(
        self, run, make_transport, tmp_path, name
    ):
        (tmp_path / "directory").mkdir()
        (tmp_path / "file").write_bytes(b"x")
        kind = {
            "missing": FileNotFoundError,
            "directory": IsADirectoryError,
            "file/below": NotADirectoryError,
        }[name]

        async def scenario():
            async with make_transport() as transport:
                body = (CANARY.encode(), tmp_path / "file", tmp_path / name)
                error = await failure_of(transport, post(server.base, body), kind)
                assert str(tmp_path / name) in str(error)
                assert "nothing was sent" in str(error)
                assert CANARY not in report(error)

        before = open_files()
        with Server() as server:
            run(scenario)
        assert server.accepted == 0
        assert open_files() == before

    def test_text_file_is_refused_before_anything_is_sent(self, run, make_transport, tmp_path):
        (tmp_path / "file").write_bytes(b"x")

        async def scenario():
            async with make_transport() as transport:
                with (tmp_path / "file").open() as file:
                    await failure_of(transport, post(server.base, (file,)), TypeError)

        with Server() as server:
            run(scenario)
        assert server.accepted == 0

    @pytest.mark.parametrize(("size", "words"), [(9, "shorter"), (600_000, "longer")])
    def test_file_that_changes_meanwhile_is_a_transport_error(
        self, run, make_transport, tmp_path, size, words
    ):
        """... and the request stays incomplete, so that no gateway acts on it."""
        path = tmp_path / "file"
        path.write_bytes(b"x" * 500_000)

        class Meddler(io.RawIOBase):
            def seekable(self):
                return False

            def readinto(self, buffer):
                if len(buffer):
                    os.truncate(path, size)
                return 0

        async def scenario():
            async with make_transport() as transport:
                error = await failure_of(transport, post(server.base, (Meddler(), path, b">")))
                assert error.may_have_been_applied
                assert f"{str(path)!r} became" in str(error)
                assert words in str(error)
                if isinstance(transport._route, PoolRoute):
                    assert_all_free(transport)

        with Server() as server:
            run(scenario)
        assert server.requests == []

    def test_file_that_fails_meanwhile_is_a_transport_error(self, run, make_transport):
        class Broken(io.RawIOBase):
            def seekable(self):
                return False

            def readinto(self, buffer):
                if len(buffer):
                    raise OSError(5, "Input/output error")
                return 0

        async def scenario():
            async with make_transport() as transport:
                error = await failure_of(transport, post(server.base, (Broken(),)))
                assert "could not be read on" in str(error)
                assert error.may_have_been_applied

        with Server() as server:
            run(scenario)

    def test_files_are_closed_whatever_happens(self, run, make_transport, tmp_path):
        (tmp_path / "file").write_bytes(b"x" * 3_000_000)

        async def scenario():
            async with make_transport(timeouts=Timeouts(read=0.05)) as transport:
                await failure_of(transport, post(server.base, (tmp_path / "file",)))
                with anyio.move_on_after(0.02):
                    await transport.send(post(server.base, (tmp_path / "file",)))

        with Server(silence) as server:
            run(scenario)
        assert tmp_path / "file" not in open_files()

    def test_answer_before_the_end_of_the_upload_is_the_answer(self, run, make_transport):
        """A gateway may refuse a body without reading it."""

        async def greet(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"too large", "413 Payload Too Large", Connection="close"))
            while await reader.read(1 << 20):
                pass

        async def scenario():
            async with make_transport() as transport:
                return await transport.send(post(server.base, b"x" * 5_000_000))

        with Server(greet=greet) as server:
            assert run(scenario).status == 413


# ------------------------------------------------------------------ life and death


async def suppressed(function, *args):
    with suppress(TransportError):
        await function(*args)


class TestLife:
    def test_it_is_a_transport(self):
        assert isinstance(HttpxTransport(), Transport)

    def test_it_is_made_without_an_event_loop_and_outlives_one(self, server):
        """Connections do not survive the event loop that made them, so they are made anew."""
        transport = HttpxTransport(max_connections=2)

        async def scenario(*, last):
            for _ in range(3):
                assert (await transport.send(get(server.base))).status == 200
            if last:
                await transport.aclose()
            else:
                await transport._route.pool.aclose()
                transport._route.pool._closed = False

        anyio.run(partial(scenario, last=False))
        anyio.run(partial(scenario, last=False), backend="trio")
        anyio.run(partial(scenario, last=True))
        assert server.accepted == 3

    def test_closed_transport_says_so(self, run, make_transport, server):
        async def scenario():
            async with make_transport() as transport:
                await transport.send(get(server.base))
                await transport.aclose()
                await transport.aclose()
                error = await failure_of(transport, get(server.base), RuntimeError)
                assert "closed" in str(error)

        run(scenario)

    def test_closing_closes_idle_connections(self, run, server):
        async def scenario():
            transport = HttpxTransport()
            await transport.send(get(server.base))
            assert server.open == 1
            await transport.aclose()
            await until(lambda: server.open == 0)

        run(scenario)

    def test_closing_breaks_off_what_is_under_way(self, run, make_transport):
        """Requests in flight may have been applied; those that wait for their turn were not."""
        errors = []
        maker = make_transport(max_connections=2)

        async def send(transport):
            errors.append(await failure_of(transport, secretive(server)))

        async def scenario():
            async with maker as transport:
                async with anyio.create_task_group() as tasks:
                    for _ in range(3):
                        tasks.start_soon(send, transport)
                    await until(lambda: len(server.requests) >= 2)
                    await transport.aclose()
                    assert len(errors) == 3
                await until(lambda: server.open == 0)

        with Server(silence) as server:
            run(scenario)
        for error in errors:
            assert type(error) is TransportError
            assert "closed meanwhile" in str(error)
            assert_no_secret(error)
        if maker.client is None:  # which would make a third connection
            assert [e.may_have_been_applied for e in errors].count(False) == 1

    def test_closing_works_in_a_cancelled_scope(self, run, server):
        """``async with`` around a task that is cancelled ends there."""

        async def scenario():
            with anyio.CancelScope() as scope:
                async with HttpxTransport() as transport:
                    await transport.send(get(server.base))
                    scope.cancel()
                    await anyio.sleep(1)
            await until(lambda: server.open == 0)

        run(scenario)

    @pytest.mark.parametrize(
        "options",
        [{"max_connections": 0}, {"max_answer_bytes": 0}, {"max_connections": -1}],
    )
    def test_limits_are_at_least_one(self, options):
        with pytest.raises(ValueError, match="at least 1"):
            HttpxTransport(**options)

    @pytest.mark.parametrize("name", ["connect", "read", "write", "pool", "total"])
    def test_timeouts_are_more_than_nothing_or_none(self, name):
        for bad in (0, -1, float("nan")):
            with pytest.raises(ValueError, match=name):
                Timeouts(**{name: bad})
        with pytest.raises(TypeError):
            Timeouts(**{name: "10"})
        assert getattr(Timeouts(**{name: None}), name) is None
        assert getattr(Timeouts(), name) > 0

    def test_timeouts_may_all_be_off(self, run, make_transport, server):
        never = Timeouts(connect=None, read=None, write=None, pool=None, total=None)

        async def scenario():
            async with make_transport(timeouts=never) as transport:
                assert (await transport.send(post(server.base, b"x" * 300_000))).status == 200

        run(scenario)


# ------------------------------------------------------------------ cancellation


async def answers_twice(received, writer):
    received.done = False
    for content in (received.target.encode(), b"for nobody"):
        writer.write(answer(content))
        await writer.drain()
    received.done = True
    return b""


async def each_gets_its_own(server, requests):
    async with HttpxTransport() as transport:
        for number in range(requests):
            response = await transport.send(get(f"{server.base}/{number}"))
            assert response.content == f"/{number}".encode()
            await until(lambda: getattr(server.requests[-1], "done", True))
            await anyio.sleep(0.002)


class TestCancellation:
    @pytest.mark.parametrize(
        "respond",
        [answers_twice, lambda received, _: answer(received.target.encode()) + answer(b"{}")],
    )
    def test_what_comes_after_an_answer_is_not_the_next_answer(self, run, respond):
        """It might be a token, and the next request that of another seller."""
        with Server(respond) as server:
            run(partial(each_gets_its_own, server, 10))

    def test_task_cancelled_while_it_waits_costs_no_slot(self, run, server):
        async def scenario():
            async with HttpxTransport(max_connections=1) as transport:
                pool = transport._route.pool
                connection = await pool.acquire(server.base)
                async with anyio.create_task_group() as tasks:
                    for _ in range(3):
                        tasks.start_soon(transport.send, get(server.base))
                    await until(lambda: pool._slots.statistics().tasks_waiting == 3)
                    tasks.cancel_scope.cancel()
                await pool.release(connection)
                assert_all_free(transport)
                assert (await transport.send(get(server.base))).status == 200

        run(scenario)

    def test_task_cancelled_while_it_connects_leaves_no_socket(self, run):
        async def greet(reader, writer):
            while await reader.read(1000):
                pass

        async def scenario():
            async with HttpxTransport() as transport:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(transport.send, get(server.base.replace("http", "https")))
                    await until(lambda: server.open == 1)
                    tasks.cancel_scope.cancel()
                await until(lambda: server.open == 0)
                assert_all_free(transport)

        with Server(greet=greet) as server:
            run(scenario)

    @pytest.mark.parametrize("respond", [silence, trickle])
    def test_connection_of_a_cancelled_request_is_not_used_again(self, run, respond):
        async def scenario():
            async with HttpxTransport() as transport:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(transport.send, get(server.base))
                    await until(lambda: server.requests)
                    tasks.cancel_scope.cancel()
                await until(lambda: server.open == 0)
                assert_all_free(transport)
                assert transport._route.pool.open == 0

        with Server(respond) as server:
            run(scenario)

    async def test_cancellation_of_asyncio_comes_through_untouched(self):
        with Server(silence) as server:
            async with HttpxTransport() as transport:
                task = asyncio.create_task(transport.send(get(server.base)))
                await until(lambda: server.requests)
                task.cancel("because")
                with pytest.raises(asyncio.CancelledError, match="because"):
                    await task
                assert_all_free(transport)

    async def test_timeout_of_the_caller_stays_a_timeout(self):
        with Server(silence) as server:
            async with HttpxTransport() as transport:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await transport.send(get(server.base))
                assert_all_free(transport)

    def test_whatever_is_cancelled_each_answer_belongs_to_its_request(self, run):
        """Hundreds of requests, a flaky server, and cancellations at random moments."""
        chance = random.Random(1)

        async def respond(received, writer):
            name = received.target.encode()
            fate = chance.random()
            if fate < 0.05:
                return None
            if fate < 0.1:
                return answer(name).replace(b"HTTP", b"HTPT")
            if fate < 0.15:
                writer.write(answer(name)[:-3])
                return None
            await asyncio.sleep(chance.random() / 100)
            if fate < 0.2:
                return answer(name, Connection="close")
            if fate < 0.4:
                return answer(gzip.compress(name), Content_Encoding="gzip")
            if fate < 0.5:
                reply = answer(name * 20_000)
                writer.write(reply[:99])
                await asyncio.sleep(chance.random() / 100)
                return reply[99:]
            return answer(name)

        counts = {"answered": 0, "failed": 0, "cancelled": 0}

        async def send(transport, number):
            name = f"/{number}"
            # a third is never cancelled, so that a slow machine sees answers and failures too
            patience = chance.random() / 20 if number % 3 else 10
            with anyio.move_on_after(patience) as scope:
                try:
                    request = get(server.base + name) if number % 2 else post(server.base + name)
                    response = await transport.send(request)
                except TransportError:
                    counts["failed"] += 1
                else:
                    counts["answered"] += 1
                    assert response.content in (name.encode(), name.encode() * 20_000)
            counts["cancelled"] += scope.cancelled_caught
            assert transport._route.pool.open <= 20

        async def scenario():
            timeouts = Timeouts(read=5, pool=0.1)
            async with HttpxTransport(max_connections=20, timeouts=timeouts) as transport:
                async with anyio.create_task_group() as tasks:
                    for number in range(500):
                        tasks.start_soon(send, transport, number)
                        await anyio.sleep(chance.random() / 2000)
                assert_all_free(transport)
                assert transport._running == set()
                await until(lambda: server.open == transport._route.pool.idle)

        with Server(respond) as server:
            run(scenario)
        assert sum(counts.values()) == 500
        assert min(counts.values()) > 10


# ------------------------------------------------------------------ mocks


class TestRespx:
    @respx.mock
    async def test_default_transport_can_be_mocked(self):
        """As every httpx user expects; a mocked connection is dropped, its slot is free again."""
        route = respx.post("https://api.example.com/rest/order/get").respond(content=b"{}")
        async with HttpxTransport(max_connections=1) as transport:
            for _ in range(3):
                request = post("https://api.example.com/rest/order/get?a=1", b"b=2")
                assert (await transport.send(request)).content == b"{}"
            assert_all_free(transport)
            assert transport._route.pool.open == 0
        assert route.calls.last.request.content == b"b=2"

    @respx.mock
    async def test_upload_can_be_mocked(self, tmp_path):
        (tmp_path / "file").write_bytes(b"xyz")
        route = respx.post("https://api.example.com/upload").respond(200)
        async with HttpxTransport() as transport:
            await transport.send(post("https://api.example.com/upload", (b"<", tmp_path / "file")))
        assert route.calls.last.request.content == b"<xyz"

    @pytest.mark.parametrize(
        ("side_effect", "error", "applied"),
        [
            (httpx.ConnectTimeout, TransportTimeout, False),
            (httpx.ConnectError, TransportError, False),
            (httpx.ReadTimeout, TransportTimeout, True),
            (httpx.RemoteProtocolError, TransportError, True),
        ],
    )
    @respx.mock
    async def test_mocked_errors_mean_what_real_ones_do(self, side_effect, error, applied):
        respx.get("https://api.example.com/").mock(side_effect=side_effect)
        async with HttpxTransport() as transport:
            raised = await failure_of(transport, get("https://api.example.com/"), error)
            assert raised.may_have_been_applied is applied
            assert_all_free(transport)

    @respx.mock
    async def test_request_that_nobody_mocked_is_the_tests_own_error(self):
        async with HttpxTransport() as transport:
            await failure_of(transport, get("https://api.example.com/"), AssertionError)
            assert_all_free(transport)


def test_import_costs_neither_httpx_nor_httpcore():
    code = "import sys, iop_async; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "iop_async._transport" in shown.stdout.split()
    assert not {"httpx", "httpcore", "trio"} & set(shown.stdout.split())
