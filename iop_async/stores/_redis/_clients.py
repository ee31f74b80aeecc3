"""Clients: ours, of redis-py, and users', of redis-py or valkey-py; named without what is secret.

valkey-py is a fork of redis-py whose classes do the same and are no kin: what a client is, its
names and methods tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from attrs import frozen
from redis.asyncio import Redis, RedisCluster

from ._urls import clients_at

Client: TypeAlias = "Redis | RedisCluster"

_TAKEN: Final = {
    "redis.asyncio.client.Redis",
    "redis.asyncio.cluster.RedisCluster",
    "valkey.asyncio.client.Valkey",
    "valkey.asyncio.cluster.ValkeyCluster",
}
_BALANCING: Final = ("read_from_replicas", "load_balancing_strategy")


@frozen
class ClientSource:
    """Where clients come from: a new one for each event loop, or always that of the user.

    Attributes:
        name: the address that they connect to, without user, password and options.
        client: gives one; nothing is opened yet.
        is_own: they are the store's to close.
    """

    name: str
    client: Callable[[], Client]
    is_own: bool


def source_of(redis: object, timeout: float) -> ClientSource:
    """Clients for the server at a URL, or the user's own.

    Args:
        timeout: seconds for connecting, and for an answer.

    Raises:
        TypeError: it is neither.
        ValueError: it cannot be used. The message repeats no URL: it may hold a password.
    """
    if isinstance(redis, str):
        make = clients_at(redis, timeout)
        return ClientSource(name_of(make()), make, is_own=True)
    client = _require_usable(redis)
    return ClientSource(name_of(client), lambda: client, is_own=False)


def _require_usable(client: Any) -> Client:
    if not any(f"{kind.__module__}.{kind.__qualname__}" in _TAKEN for kind in type(client).__mro__):
        msg = (
            "RedisStore takes a URL, or a Redis or RedisCluster of redis.asyncio, or a Valkey or "
            f"ValkeyCluster of valkey.asyncio, not {type(client).__module__}."
            f"{type(client).__qualname__}"
        )
        raise TypeError(msg)
    pool = sentinel_pool(client)
    is_reader = pool is not None and not pool.is_master
    if is_reader or any(getattr(client, name, None) for name in _BALANCING):
        msg = (
            "the client reads from replicas, which may be behind: two hosts would present one "
            "refresh token. Give the store a client that asks the masters only"
        )
        raise ValueError(msg)
    return client  # type: ignore[no-any-return]


def is_cluster(client: Client) -> bool:
    """Whether a client is one for clusters."""
    return hasattr(client, "get_primaries")


def is_of_valkey(part: object) -> bool:
    """Whether a client, or a part of one, is of valkey-py."""
    return type(part).__module__.startswith("valkey.")


def pool_of(client: Client) -> Any:
    """The connections of a client; one for clusters has no one pool of them: ``None``."""
    return getattr(client, "connection_pool", None)


def sentinel_pool(client: Client) -> Any | None:
    """The connections of a client that asks Sentinels for the master."""
    pool = pool_of(client)
    return pool if hasattr(pool, "sentinel_manager") else None


def name_of(client: Client) -> str:
    """The address that a client connects to, without user, password and options."""
    if is_cluster(client):
        return "Redis Cluster"
    pool = pool_of(client)
    options = pool.connection_kwargs
    database = options.get("db") or 0
    if sentinel_pool(client) is not None:
        return f"Redis Sentinel {pool.service_name}/{database}"
    if "path" in options:
        return f"unix://{options['path']}?db={database}"
    scheme = "rediss" if _is_tls(pool.connection_class) else "redis"
    return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{database}"


def reached_by(client: Client, node: Any = None) -> tuple[str | None, bool]:
    """The host that a client connects to, and whether by TLS; or that of a ``node`` of a cluster.

    There is none where a server is reached by a socket of this machine.
    """
    if node is not None:
        return node.host, _is_tls(node.connection_class)
    pool = pool_of(client)
    host, _ = getattr(pool, "master_address", None) or (pool.connection_kwargs.get("host"), 0)
    return host, _is_tls(pool.connection_class)


def _is_tls(connection: type) -> bool:
    return any("SSLConnection" in kind.__name__ for kind in connection.__mro__)


async def close(client: Client) -> None:
    """Close a client of ours, and those by which it asks Sentinels."""
    await client.aclose()
    pool = sentinel_pool(client)
    if pool is not None:
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def most_connections(client: Client, enough: int) -> int:
    """The number of commands that may be under way: no more than the client has connections."""
    pool = pool_of(client)
    return max(1, min(enough, getattr(pool, "max_connections", None) or enough))
