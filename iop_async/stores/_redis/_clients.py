"""Clients of redis-py: made from a URL, looked at, and named without what is secret."""

from __future__ import annotations

from typing import Final, TypeAlias
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

Client: TypeAlias = "Redis | RedisCluster"

_SCHEMES: Final = ("redis", "rediss", "unix")
_BALANCING: Final = ("read_from_replicas", "load_balancing_strategy")


def client_at(url: str, timeout: float) -> Redis:
    """A client for the server at ``url``; nothing is opened yet.

    Raises:
        ValueError: the URL cannot be used. The message does not repeat it: it may hold a password.
    """
    begin = url.partition("://")[0]
    if begin not in _SCHEMES or begin == url:
        msg = "the URL of a Redis server begins with redis://, rediss:// or unix://"
        raise ValueError(msg)
    try:
        _require_whole(url)
        # What is repeated, and how often, is decided by who knows what may be repeated.
        client = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            **({} if begin == "unix" else {"socket_keepalive": True}),
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # which would fail with the first command
    except (ValueError, TypeError, RedisError) as exc:
        msg = (
            "the Redis URL cannot be read: it is redis://user:password@host:port/database, odd "
            "characters in a user name, password or path need a percent sign, and its options are "
            f"those of redis-py ({type(exc).__name__})"
        )
        raise ValueError(msg) from None
    return client


def _require_whole(url: str) -> None:
    """Refuse what ends amid a password: its beginning would be taken for a host or a port."""
    parts = urlsplit(url)
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError


def require_usable(client: object) -> Client:
    """Raises ``TypeError`` or ``ValueError`` for a client that the store cannot work with."""
    if not isinstance(client, (Redis, RedisCluster)):
        msg = (
            "RedisStore takes a URL, a redis.asyncio.Redis or a redis.asyncio.RedisCluster, not "
            f"{type(client).__module__}.{type(client).__qualname__}"
        )
        raise TypeError(msg)
    pool = getattr(client, "connection_pool", None)
    is_reader = isinstance(pool, SentinelConnectionPool) and not pool.is_master
    if is_reader or any(getattr(client, name, None) for name in _BALANCING):
        msg = (
            "the client reads from replicas, which may be behind: two hosts would present one "
            "refresh token. Give the store a client that asks the masters only"
        )
        raise ValueError(msg)
    return client


def name_of(client: Client) -> str:
    """Where the client connects to, without user, password and options."""
    if isinstance(client, RedisCluster):
        return "Redis Cluster"
    pool = client.connection_pool
    facts = pool.connection_kwargs
    database = facts.get("db") or 0
    if isinstance(pool, SentinelConnectionPool):
        return f"Redis Sentinel {pool.service_name}/{database}"
    if "path" in facts:
        return f"unix://{facts['path']}?db={database}"
    scheme = "rediss" if issubclass(pool.connection_class, SSLConnection) else "redis"
    return f"{scheme}://{facts.get('host', 'localhost')}:{facts.get('port', 6379)}/{database}"


def most_connections(client: Client, enough: int) -> int:
    """How many commands may be under way: not more than the client has connections for."""
    pool = getattr(client, "connection_pool", None)
    return max(1, min(enough, getattr(pool, "max_connections", None) or enough))
