"""Whom a transport trusts."""

import asyncio
import ssl
from functools import cache, partial

import pytest
import trustme
from loopback import Server, answer
from transport_helpers import (
    Flood,
    answers_twice,
    assert_all_free,
    assert_no_secret,
    break_slowly,
    download_slowly,
    each_gets_its_own,
    failure_of,
    get,
    has_own_connections,
    post,
    secretive,
)

from iop_async import _transport as httpx_door
from iop_async._fast import transport as fast_door
from iop_async._http import tls


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Server(tls=context) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh_context(monkeypatch):
    """The context of the process is made once; these tests need others."""
    fresh = cache(tls.tls_context.__wrapped__)
    for module in (httpx_door, fast_door):
        monkeypatch.setattr(module, "tls_context", fresh)
    return fresh


def test_certificate_of_nobody_known_is_refused(run, make_transport, server):
    async def scenario():
        async with make_transport() as transport:
            error = await failure_of(transport, secretive(server))
            assert not error.may_have_been_applied
            assert "certificate verify failed" in str(error)
            assert_no_secret(error)
            if has_own_connections(transport):
                assert_all_free(transport)

    run(scenario)
    assert server.requests == []


def test_authority_in_ssl_cert_file_is_trusted(
    run, door, authority, server, monkeypatch, tmp_path, fresh_context
):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def scenario():
        async with door() as transport, door() as another:
            for _ in range(3):
                response = await transport.send(post(f"{server.base}/rest", b"x" * 100_000))
                assert response.content == b"{}"
            await another.send(get(server.base))

    run(scenario)
    assert server.accepted == 2
    assert fresh_context.cache_info().misses == 1


def test_what_comes_after_an_answer_is_not_the_next_answer(
    run, door, authority, monkeypatch, tmp_path, fresh_context
):
    """... not even from within the TLS machinery; see the test of the same name elsewhere."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Server(answers_twice, tls=context) as server:
        run(partial(each_gets_its_own, door, server, 10))


def test_certificate_file_that_is_missing_is_named(run, door, server, monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing"))

    async def scenario():
        async with door() as transport:
            error = await failure_of(transport, get(server.base), ValueError)
            assert "SSL_CERT_FILE" in str(error)
            assert_all_free(transport)

    run(scenario)


def test_certificate_for_another_host_is_refused(
    run, door, authority, server, monkeypatch, tmp_path
):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))

    async def scenario():
        async with door() as transport:
            url = server.base.replace("localhost", "127.0.0.1")
            error = await failure_of(transport, get(url))
            assert "certificate verify failed" in str(error)

    run(scenario)


def test_a_file_comes_no_faster_than_it_is_written(
    run, door, authority, monkeypatch, tmp_path, fresh_context
):
    """The layer of TLS holds its sender back as well, and loses nothing."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    flood = Flood(bytes(range(256)) * 400, 300)

    async def scenario():
        async with door() as transport:
            for _ in range(2):
                flood.sent = 0
                await download_slowly(transport, server.base, flood)
        assert server.accepted == 1

    with Server(flood, tls=context) as server:
        run(scenario)
    with Server(breaks_off, tls=context) as server:
        run(partial(break_slowly, door, server))


async def breaks_off(received, writer):
    writer.write(answer(bytes(2_000_000))[:-9])
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()
