"""What servers promise: whether they keep what they acknowledged. Reading that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any

from ...protocols import StoreReport
from .._networks import CLEAR_TEXT, is_public
from ._clients import Client, is_cluster, reached_by, sentinel_pool


def weaknesses(
    info: Mapping[str, Any],
    save: str | None,
    waits_for: str | None = None,
    *,
    is_guarded: bool = False,
) -> list[str]:
    """Settings of a server that lose grants, in words.

    Args:
        info: the answer to ``INFO``.
        save: when it writes a snapshot; ``None`` where it does not tell.
        waits_for: how many replicas must be there for a write; likewise.
        is_guarded: Sentinels tell which replicas may take its place, and the store waits for those.
    """
    if int(info.get("loading", 0)):
        return []  # it reads what it kept, and calls its append-only file off meanwhile
    found = []
    if not int(info.get("aof_enabled", 1)) and not save:
        what = "keeps nothing on disk" if save is not None else "keeps no append-only file"
        found.append(
            f"it {what}, so that a restart loses grants, whose refresh tokens cannot be had "
            "again: set appendonly yes, and appendfsync always where no grant may be lost"
        )
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if int(info.get("maxmemory", 0)) and policy.startswith("allkeys"):
        found.append(
            f"it may evict grants when its memory is full (maxmemory-policy {policy}): set "
            "maxmemory-policy noeviction"
        )
    return found if is_guarded else [*found, *_of_replicas(info, waits_for)]


def _of_replicas(info: Mapping[str, Any], waits_for: str | None) -> list[str]:
    replicas = int(info.get("connected_slaves", 0))
    # INFO counts good replicas only where a server asks for some (observed, Redis 7.0)
    asked = int(waits_for or 0) or (replicas if "min_slaves_good_slaves" in info else 0)
    if asked >= replicas:
        return []
    words = (
        "it acknowledges writes that the next master has not seen: when that takes over, planned "
        "or not, the old one goes on taking them for some ten seconds, and those grants are lost "
        "without an error: set min-replicas-to-write on every server to the number of replicas of "
        f"a master ({replicas}), or give the store the URL of the Sentinels"
    )
    return [words]


async def look_at(client: Client, name: str) -> StoreReport:
    """What the server promises, or all masters of the cluster together."""
    if not is_cluster(client):
        return await _look_at_one(client, name)
    cluster: Any = client
    masters = [
        await _look_at_one(client, name, target_nodes=one) for one in cluster.get_primaries()
    ]
    return StoreReport(
        store=name,
        server=f"{masters[0].server}, {len(masters)} masters" if masters else "no master",
        clock_offset=max((one.clock_offset or 0.0 for one in masters), key=abs, default=None),
        warnings=tuple(dict.fromkeys(words for one in masters for words in one.warnings)),
    )


async def replicas_asked_for(client: Client) -> int:
    """How many replicas a server must have for a write; at least so many, where it hides that."""
    asked = await _setting(client, "min-replicas-to-write")
    if asked is None:
        return int("min_slaves_good_slaves" in await client.info("replication"))
    return int(asked or 0)


async def longest_argument(client: Client) -> int | None:
    """How many bytes a server takes as one; ``None`` where it does not tell."""
    asked = await _setting(client, "proto-max-bulk-len")
    return int(asked) if asked else None


async def _setting(client: Client, name: str, **where: Any) -> str | None:
    try:
        told = await client.config_get(name, **where)
    except Exception:  # noqa: BLE001 - managed servers do not tell
        return None
    return _text(told[name]) if name in told else None


async def _look_at_one(client: Client, name: str, **where: Any) -> StoreReport:
    save = await _setting(client, "save", **where)
    waits_for = await _setting(client, "min-replicas-to-write", **where)
    info = await client.info(**where)
    is_guarded = sentinel_pool(client) is not None
    warnings = weaknesses(info, save, waits_for, is_guarded=is_guarded)
    host, is_tls = reached_by(client, where.get("target_nodes"))
    if not is_tls and await is_public(host):
        warnings.append(CLEAR_TEXT.format(how="rediss://"))
    return StoreReport(
        store=name,
        server=_server(info),
        clock_offset=int(info["server_time_usec"]) / 1e6 - time()
        if "server_time_usec" in info
        else None,
        warnings=tuple(warnings),
    )


def _server(info: Mapping[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', 'of an unknown version')}"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
