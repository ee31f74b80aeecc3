"""What holds over a client of the user's, mocked ones included."""

import gc
import gzip
import logging
import sys
import types

import anyio
import httpx
import pytest
import respx
from loopback import Server, answer
from services import free_port
from transport_helpers import (
    CANARY,
    TRICKY,
    assert_all_free,
    failure_of,
    get,
    has_own_connections,
    pool_of,
    post,
    secretive,
)

from iop_async import HttpxTransport, ProtocolError, TransportError, TransportTimeout
from iop_async._http.messages import prepare


def test_nothing_of_the_client_gets_into_the_request(run, server):
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


def test_client_is_not_closed(run, server):
    async def scenario():
        async with httpx.AsyncClient() as client:
            async with HttpxTransport(client) as transport:
                await transport.send(get(server.base))
            assert not client.is_closed
            assert (await client.get(server.base)).status_code == 200

    run(scenario)


def test_subclass_of_a_client_is_a_client(run, server):
    class Traced(httpx.AsyncClient):
        pass

    async def scenario():
        async with Traced() as client, HttpxTransport(client) as transport:
            assert (await transport.send(get(server.base))).status == 200

    run(scenario)


@pytest.mark.parametrize("client", [httpx.Client(), object(), "https://a.example"])
def test_what_is_no_asynchronous_client_is_refused_at_once(client):
    with pytest.raises(TypeError, match=r"give an httpx\.AsyncClient"):
        HttpxTransport(client)


def test_closed_client_says_so(run, server):
    async def scenario():
        client = httpx.AsyncClient()
        await client.aclose()
        await failure_of(HttpxTransport(client), get(server.base), RuntimeError)

    run(scenario)


def test_fork_of_httpx_is_accepted(run, server):
    """httpx2 has the same shape; its own classes are used, not those of httpx."""
    httpx2 = pytest.importorskip("httpx2")

    async def scenario():
        async with httpx2.AsyncClient() as client, HttpxTransport(client) as transport:
            await transport.send(post(server.base + TRICKY, b"a=1"))
            unreachable = await failure_of(transport, get(f"http://127.0.0.1:{free_port()}/"))
            assert not unreachable.may_have_been_applied

    run(scenario)
    assert server.requests[0].target == TRICKY


def test_classes_come_from_the_library_of_the_client():
    """... found on the client's own module, whatever its name."""
    fork = types.ModuleType("fork_of_httpx")
    fork.AsyncByteStream, fork.ByteStream = httpx.AsyncByteStream, httpx.ByteStream
    fork.QueryParams = httpx.QueryParams
    fork.URL, fork.Request = type("URL", (httpx.URL,), {}), type("R", (httpx.Request,), {})
    fork.AsyncClient = type("AsyncClient", (), {"__module__": "fork_of_httpx._client"})
    sys.modules["fork_of_httpx"] = fork
    try:
        transport = HttpxTransport(fork.AsyncClient())
        outgoing = prepare(get("https://a.example/?x=1"), None, user_agent=b"", limit=1)
        request = transport._client_route._request(outgoing, {})
    finally:
        del sys.modules["fork_of_httpx"]
    assert type(request) is fork.Request
    assert isinstance(request.url, fork.URL)


def test_log_of_httpx_shows_no_query(run, make_transport, server, caplog):
    """httpx logs the URL of every request; a GET has the token in it."""
    caplog.set_level(logging.DEBUG)

    async def scenario():
        async with make_transport() as transport:
            await transport.send(get(f"{server.base}/rest/a?access_token={CANARY}"))
            await transport.send(secretive(server))
            return transport

    transport = run(scenario)
    if not has_own_connections(transport):
        assert f"GET {server.base}/rest/a?access_token=***" in caplog.text
    assert CANARY in server.requests[0].target
    assert ("httpcore" in caplog.text) is isinstance(transport, HttpxTransport)
    assert CANARY not in caplog.text


def test_url_of_the_request_is_masked_wherever_it_is_text(run, server):
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


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("order_id=42&sign=ab&access_token=x", "order_id=42&sign=***&access_token=***"),
        ("q=%E6%B3%A8&a=", "q=%E6%B3%A8&a="),
        ("flag", "flag"),
        ("order_id=" + "4" * 9000, "***"),
    ],
)
def test_what_is_no_secret_can_be_matched_in_the_text_of_the_url(run, server, query, shown):
    """As pytest-httpx does: by a regular expression over the text."""
    seen = []

    async def hook(request):
        seen.append(str(request.url))

    async def scenario():
        client = httpx.AsyncClient(event_hooks={"request": [hook]})
        async with client, HttpxTransport(client) as transport:
            await transport.send(get(f"{server.base}/rest/a?{query}"))

    run(scenario)
    assert seen == [f"{server.base}/rest/a?{shown}"]
    assert server.requests[0].target == f"/rest/a?{query}"


def test_answer_that_a_hook_has_read_is_not_decoded_twice(run):
    async def read(response):
        await response.aread()

    async def scenario():
        client = httpx.AsyncClient(event_hooks={"response": [read]})
        async with client, HttpxTransport(client) as transport:
            return await transport.send(get(server.base))

    with Server(lambda *_: answer(gzip.compress(b"{}"), Content_Encoding="gzip")) as server:
        assert run(scenario).content == b"{}"


def test_mocks_of_httpx_work(run):
    def respond(request):
        assert request.content == b"a=1"
        return httpx.Response(200, content=b"{}")

    async def scenario():
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            return await HttpxTransport(client).send(post("https://a.example/rest", b"a=1"))

    assert run(scenario).content == b"{}"


def test_applications_can_be_called_without_a_network(run):
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


def test_error_of_somebody_elses_transport_is_not_trusted(run):
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


async def test_mocks_of_httpx_match_by_the_parameters():
    """The text of the URL is masked; its parameters are what is sent."""

    def respond(request):
        assert request.url.params["order_id"] == "4 2"
        assert request.url.params["access_token"] == CANARY
        assert CANARY not in str(request.url)
        assert request.url.copy_with(query=None) == "https://a.example/rest/order/get"
        return httpx.Response(200)

    request = get(f"https://a.example/rest/order/get?order_id=4+2&access_token={CANARY}")
    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        assert (await HttpxTransport(client).send(request)).status == 200


class FailsWhileSending(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request):
        async for _ in request.stream:
            raise httpx.WriteTimeout("")


def test_request_that_fails_while_it_is_sent_leaves_no_generator(run):
    """Trio warns of one that the collector finds, and which test is on then is chance."""

    async def scenario():
        async with httpx.AsyncClient(transport=FailsWhileSending()) as client:
            error = await failure_of(HttpxTransport(client), post("https://a.example", b"a=1"))
            assert "could not be sent" in str(error)
            gc.collect()

    run(scenario)


class ClosesSlowly(httpx.AsyncByteStream):
    """An endless answer."""

    def __init__(self, closing):
        self._closing = closing
        self._closed = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._closed:
            raise httpx.StreamClosed
        return b"x" * 1000

    async def aclose(self):
        self._closing.set()
        await anyio.sleep(0.01)
        self._closed = True


def test_answer_whose_closing_is_cancelled_leaves_no_generator(run):
    async def scenario():
        closing = anyio.Event()
        mock = httpx.MockTransport(lambda _: httpx.Response(200, stream=ClosesSlowly(closing)))
        async with httpx.AsyncClient(transport=mock) as client, anyio.create_task_group() as tasks:
            transport = HttpxTransport(client, max_answer_bytes=100)
            tasks.start_soon(failure_of, transport, get("https://a.example"), ProtocolError)
            await closing.wait()
            tasks.cancel_scope.cancel()
        gc.collect()

    run(scenario)


@respx.mock
async def test_default_transport_can_be_mocked():
    """As every httpx user expects; a mocked connection is dropped, its slot is free again."""
    route = respx.post("https://api.example.com/rest/order/get").respond(content=b"{}")
    async with HttpxTransport(max_connections=1) as transport:
        for _ in range(3):
            request = post("https://api.example.com/rest/order/get?a=1", b"b=2")
            assert (await transport.send(request)).content == b"{}"
        assert_all_free(transport)
        assert pool_of(transport).open == 0
    assert route.calls.last.request.content == b"b=2"


@respx.mock
async def test_upload_can_be_mocked(tmp_path):
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
async def test_mocked_errors_mean_what_real_ones_do(side_effect, error, applied):
    respx.get("https://api.example.com/").mock(side_effect=side_effect)
    async with HttpxTransport() as transport:
        raised = await failure_of(transport, get("https://api.example.com/"), error)
        assert raised.may_have_been_applied is applied
        assert_all_free(transport)


@respx.mock
async def test_request_that_nobody_mocked_is_the_tests_own_error():
    async with HttpxTransport() as transport:
        await failure_of(transport, get("https://api.example.com/"), AssertionError)
        assert_all_free(transport)
