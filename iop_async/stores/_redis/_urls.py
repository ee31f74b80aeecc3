"""Clients by the URL of their servers: one server, some behind Sentinels, or a cluster."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from attrs import frozen
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .._options import UnusableUrl, option_names, require_known
from ._sentinels import Sentinels

_SCHEME: Final = re.compile(r"(redis|valkey)(s?)(?:\+(sentinel|cluster))?|unix")
_SERVICE: Final = re.compile(r"/([^/]+)(?:/([0-9]*))?")
_DATABASE: Final = re.compile(r"/?([0-9]*)")

_OPTIONS: Final = (
    "client_name", "health_check_interval", "max_connections", "password", "protocol",
    "socket_connect_timeout", "socket_keepalive", "socket_timeout", "username",
)  # fmt: skip
_OF_TLS: Final = (
    "ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname",
    "ssl_keyfile", "ssl_min_version", "ssl_password",
)  # fmt: skip
_OF_SENTINELS: Final = ("sentinel_password", "sentinel_username")

_SENTINEL_PORT: Final = 26_379


@frozen
class _Address:
    """What a URL says, but for the options that all clients take alike."""

    kind: str | None
    hosts: list[tuple[str, int]]
    service: str
    options: dict[str, Any]


def clients_at(url: str, timeout: float) -> Callable[[], Redis | RedisCluster]:
    """Makes clients for the servers at ``url``; nothing is opened.

    Args:
        timeout: seconds for connecting, and for an answer.

    Raises:
        UnusableUrl: the URL cannot be used.
    """
    kind = ""
    try:
        make = _clients(_read(url), timeout)
        _try_out(make())  # what would fail with the first command
    except UnusableUrl:
        raise
    except (ValueError, TypeError, AttributeError, RedisError) as exc:  # whose words may quote it
        kind = type(exc).__name__
    else:
        return make
    msg = (
        "the Redis URL cannot be read: it is redis://user:password@host:port/database, "
        "redis+sentinel://host,host/service/database or redis+cluster://host,host; odd characters "
        f"in a user name, password or path need a percent sign ({kind})"
    )
    raise UnusableUrl(msg)


def _read(url: str) -> _Address:
    scheme, mark, rest = url.partition("://")
    found = _SCHEME.fullmatch(scheme.lower()) if mark else None
    if found is None:
        msg = (
            "the URL of a Redis server begins with redis://, rediss:// or unix://, with "
            "redis+sentinel:// or redis+cluster://, or so with valkey"
        )
        raise UnusableUrl(msg)
    is_tls, kind = bool(found[2]), found[3]
    plain = "unix" if found[1] is None else f"redis{found[2]}"
    parts = urlsplit(f"{plain}://{rest}")
    # One that ends amid a password: its beginning would be taken for a host or a port.
    if "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        raise ValueError
    known = {
        *_OPTIONS,
        *(_OF_TLS if is_tls else ()),
        *(_OF_SENTINELS if kind == "sentinel" else ()),
    }
    known |= {"db"} if kind is None else set()
    require_known(option_names(parts.geturl()), known)
    if plain == "unix":
        return _Address(None, [], "", dict(parse_url(parts.geturl())))
    service, database = _path(kind, parts.path)
    hosts = [_host(one, kind) for one in parts.netloc.rpartition("@")[2].split(",")]
    return _Address(kind, hosts, service, _options(parts, database, is_tls=is_tls))


def _path(kind: str | None, path: str) -> tuple[str, int]:
    if kind == "sentinel":
        named = _SERVICE.fullmatch(path)
        if named is None:
            msg = (
                "a Redis URL with Sentinels names their service: redis+sentinel://host,host/service"
            )
            raise UnusableUrl(msg)
        return unquote(named[1]), int(named[2] or 0)
    database = _DATABASE.fullmatch(path)
    if database is None:
        msg = "a Redis URL ends with the number of a database, as in redis://host/0, and options"
        raise UnusableUrl(msg)
    return "", int(database[1] or 0)


def _host(text: str, kind: str | None) -> tuple[str, int]:
    one = urlsplit(f"//{text}")
    port = _SENTINEL_PORT if kind == "sentinel" else 6379
    return unquote(one.hostname or "localhost"), one.port or port


def _options(parts: SplitResult, database: int, *, is_tls: bool) -> dict[str, Any]:
    login = parts.netloc.rpartition("@")[0]
    options = dict(parse_url(f"redis://{login}{'@' * bool(login)}/{database}?{parts.query}"))
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if len(set(names)) != len(names):
        raise ValueError
    return {**options, "ssl": True} if is_tls else options


def _clients(address: _Address, timeout: float) -> Callable[[], Redis | RedisCluster]:
    common: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # What is repeated, and how often, is decided by who knows what may be repeated: clients
        # made by one constructor or another would do so ten times, three times, or never.
        "retry": Retry(NoBackoff(), 0),
    }
    if not address.hosts:
        return partial(_one, {**common, **address.options})
    options = {**common, "socket_keepalive": True, **address.options}
    if address.kind == "sentinel":
        return partial(_behind_sentinels, address.hosts, address.service, options)
    if address.kind == "cluster":
        return partial(_cluster, address.hosts, options)
    ((host, port),) = address.hosts
    return partial(_one, {**options, "host": host, "port": port})


def _one(options: dict[str, Any]) -> Redis:
    options = dict(options)
    path = options.pop("path", None)
    options.pop("connection_class", None)
    return Redis(**options, **({"unix_socket_path": path} if path else {}))


def _behind_sentinels(hosts: list[tuple[str, int]], service: str, options: dict[str, Any]) -> Redis:
    options = dict(options)
    login = {
        name.removeprefix("sentinel_"): options.pop(name)
        for name in _OF_SENTINELS
        if name in options
    }
    # one that is gone must leave time for the master itself
    seconds = options["socket_timeout"] / 3
    shared = {name: value for name, value in options.items() if name.startswith("ssl")}
    sentinels = Sentinels(  # type: ignore[no-untyped-call]
        hosts,
        sentinel_kwargs={
            **shared,
            **login,
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": options["retry"],
        },
    )
    master: Redis = sentinels.master_for(service, **options)
    return master


def _cluster(hosts: list[tuple[str, int]], options: dict[str, Any]) -> RedisCluster:
    options = dict(options)
    if options.pop("db", 0):
        msg = "a Redis Cluster has one database only: leave its number out of the URL"
        raise UnusableUrl(msg)
    if int(redis.__version__.partition(".")[0]) < 6:
        options["cluster_error_retry_attempts"] = 0  # whose place the other has taken since
    return RedisCluster(startup_nodes=[ClusterNode(*host) for host in hosts], **options)


def _try_out(client: Redis | RedisCluster) -> None:
    if isinstance(client, Redis):
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)
