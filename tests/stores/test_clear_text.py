"""Tokens that cross a public network in clear text are warned of."""

import socket

import pytest
from redis_servers import own_prefix
from services import REDIS

from iop_async.stores import RedisStore
from iop_async.stores._networks import is_public

WARNED = "in clear text"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, False),
        ("", False),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.1.1", False),
        ("::1", False),
        ("fd00::1", False),
        ("localhost", False),
        ("no such host", False),
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
    ],
)
async def test_private_networks_are_told_from_public_ones(host, expected):
    assert await is_public(host) is expected


@pytest.fixture
def on_a_public_network(monkeypatch):
    """The name of this machine is, for whoever asks where it is, that of a public host."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host, port, *rest, **options):
        if host == "localhost" and port is None:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 0))]
        return look_up(host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


async def warnings_of(store):
    try:
        return [words for words in (await store.check()).warnings if WARNED in words]
    finally:
        await store.aclose()


async def test_clear_text_to_a_public_redis_is_warned_of(on_a_public_network):
    with own_prefix() as prefix:
        (words,) = await warnings_of(
            RedisStore(REDIS.replace("127.0.0.1", "localhost"), prefix=prefix)
        )
        assert "rediss://" in words
        assert await warnings_of(RedisStore(REDIS, prefix=prefix)) == []


async def test_clear_text_to_a_public_database_is_warned_of(server, on_a_public_network):
    (words,) = await warnings_of(server.store(server.url.replace("127.0.0.1", "localhost")))
    assert "sslmode=require" in words
    assert await warnings_of(server.store()) == []
