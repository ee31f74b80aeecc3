"""What a transport puts on the wire: what was signed, and nothing else."""

import pytest
from loopback import Server, answer
from services import free_port
from transport_helpers import CANARY, FORM, TRICKY, failure_of, get, post, report

from iop_async._http.messages import prepare


def test_target_and_body_are_sent_byte_for_byte(run, make_transport, server):
    """A signature covers text: nothing may be encoded again on the way."""
    body = b"a=%7b+%20~*&b=\xe6\xb7\x98"

    async def scenario():
        async with make_transport() as transport:
            await transport.send(post(server.base + TRICKY, body))
            await transport.send(get(server.base + TRICKY))

    run(scenario)
    assert [request.target for request in server.requests] == [TRICKY, TRICKY]
    assert [request.body for request in server.requests] == [body, b""]


def test_headers_are_these_and_no_others(run, make_transport, server):
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


def test_query_without_path_goes_to_the_root(run, make_transport, server):
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
def test_host_header_names_the_port_where_it_is_unusual(url, host):
    outgoing = prepare(get(url), None, user_agent=b"", limit=1)
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
def test_url_that_cannot_be_sent_as_it_is_is_refused(run, door, url):
    async def scenario():
        error = await failure_of(door(), get(url), ValueError)
        assert CANARY not in report(error)

    run(scenario)


def test_redirects_are_not_followed_and_cookies_not_kept(run, make_transport):
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


def test_proxies_of_the_environment_are_not_used(run, door, server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    async def scenario():
        async with door() as transport:
            assert (await transport.send(get(server.base))).status == 200

    run(scenario)


def test_head_and_body_travel_in_one_piece(run, door):
    """One packet and one TLS record, not two."""
    pieces = []

    async def greet(reader, writer):
        pieces.append(await reader.read(65536))
        writer.write(answer())

    async def scenario():
        async with door() as transport:
            await transport.send(post(f"{server.base}/rest", b"a=1"))

    with Server(greet=greet) as server:
        run(scenario)
    assert pieces[0].startswith(b"POST /rest HTTP/1.1\r\n")
    assert pieces[0].endswith(b"\r\n\r\na=1")
