"""Proxies: a tunnel through one that is given, and a word on one that is set and not used."""

import base64
import re
import ssl

import httpx
import pytest
import trustme
from loopback import ProxyServer, Server, answer
from services import free_port
from transport_helpers import CANARY, assert_no_secret, failure_of, get, post

from iop_async import HttpxTransport

LOGIN = f"user:{CANARY}"
AUTHORIZATION = f"Basic {base64.b64encode(LOGIN.encode()).decode()}"


@pytest.fixture
def proxy():
    with Server(ProxyServer()) as server:
        yield server


def test_requests_go_through_the_tunnel_byte_for_byte(run, server, proxy):
    """One tunnel for a connection, which is kept like any other."""

    async def scenario():
        async with HttpxTransport(proxy=proxy.base) as transport:
            for _ in range(2):
                response = await transport.send(post(f"{server.base}/rest/a?b=c", b"d=e"))
                assert response.content == b"{}"

    run(scenario)
    assert proxy.respond.targets == [f"127.0.0.1:{server.port}"]
    assert [request.target for request in server.requests] == ["/rest/a?b=c"] * 2
    assert [request.body for request in server.requests] == [b"d=e"] * 2
    assert all("proxy-authorization" not in request.headers for request in server.requests)


def test_tls_is_with_the_gateway_and_not_with_the_proxy(run, proxy, monkeypatch):
    """The proxy sees a host and a port, and no certificate is trusted for its sake."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = httpx.create_ssl_context()
    authority.configure_trust(trusted)
    monkeypatch.setattr("iop_async._transport.tls_context", lambda: trusted)

    async def scenario():
        with Server(tls=context) as gateway:
            async with HttpxTransport(proxy=proxy.base) as transport:
                assert (await transport.send(get(f"{gateway.base}/rest/a"))).status == 200
            assert [request.target for request in gateway.requests] == ["/rest/a"]

    run(scenario)


def test_a_proxy_may_want_a_password(run, server):
    """It is given in the URL, and to nobody but the proxy."""
    with Server(ProxyServer(AUTHORIZATION)) as proxy:

        async def scenario():
            host = proxy.base.removeprefix("http://")
            async with HttpxTransport(proxy=f"http://{LOGIN}@{host}") as transport:
                assert (await transport.send(get(f"{server.base}/a"))).status == 200

        run(scenario)


def refusing(reply):
    return lambda received, writer: reply


@pytest.mark.parametrize(
    ("respond", "words"),
    [
        (ProxyServer(AUTHORIZATION), r"no way through the proxy \(HTTP 407\)"),
        (refusing(answer(b"no", "502 Bad")), r"\(HTTP 502\)"),
        (refusing(b"SSH-2.0-OpenSSH\r\n\r\n"), r"\(its answer is no HTTP\)"),
        (refusing(b"x" * 20_000), r"\(its answer has no end\)"),
        (refusing(None), "no way through the proxy"),
    ],
    ids=["password", "refusal", "no HTTP", "no end", "hangs up"],
)
def test_a_proxy_that_refuses_is_an_error_and_nothing_was_sent(run, respond, words):
    """With the status that it gave, and none of its words."""

    async def scenario():
        with Server(respond) as proxy:
            async with HttpxTransport(proxy=proxy.base) as transport:
                request = post(f"http://127.0.0.1:{free_port()}/a?session={CANARY}", b"a=1")
                error = await failure_of(transport, request)
        assert error.retryable
        assert not error.may_have_been_applied
        assert_no_secret(error)
        return str(error)

    assert re.search(words, run(scenario))


def test_a_proxy_that_is_not_there_is_an_error(run):
    """By its own words, so that nobody looks at the gateway."""

    async def scenario():
        async with HttpxTransport(proxy=f"http://127.0.0.1:{free_port()}") as transport:
            error = await failure_of(transport, get("http://127.0.0.1:1/a"))
        assert "no way through the proxy (Connection refused)" in str(error)
        assert not error.may_have_been_applied

    run(scenario)


@pytest.mark.parametrize("setting", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_named_where_no_connection_came_about(
    run, door, monkeypatch, setting
):
    """By the name of the setting: its value may hold a password."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    url = f"http://127.0.0.1:{free_port()}/a"

    async def scenario():
        async with door() as transport:
            return str(await failure_of(transport, get(url)))

    assert "proxy" not in run(scenario)
    monkeypatch.setenv(setting, f"http://{LOGIN}@proxy.example:3128")
    message = run(scenario)
    assert f"{setting.lower()} of the environment is not used: say HttpxTransport(proxy=" in message
    assert CANARY not in message
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "proxy" not in run(scenario)


@pytest.mark.parametrize(
    "url",
    [
        "https://proxy.example:3128",
        "socks5://proxy.example",
        "proxy.example:3128",
        f"http://{LOGIN}@",
        f"http://{LOGIN}@host:port",
        "http://host/path",
        "",
        3128,
    ],
)
def test_what_is_no_proxy_is_refused_and_not_shown(url):
    """Where it is given, without its password."""
    with pytest.raises((TypeError, ValueError), match=r"like 'http://") as caught:
        HttpxTransport(proxy=url)
    assert CANARY not in str(caught.value)


async def test_a_client_has_its_own_proxy():
    """Two ways out would be one too many."""
    async with httpx.AsyncClient() as client:
        with pytest.raises(ValueError, match="either a client or a proxy"):
            HttpxTransport(client, proxy="http://127.0.0.1:3128")
