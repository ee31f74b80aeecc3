"""Does a server keep what it acknowledges? A look at its settings, which changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import RedisError

from ._clients import Client


def weaknesses(info: Mapping[str, Any], save: str | None) -> list[str]:
    """What about a server loses grants, in words.

    Args:
        info: the answer to ``INFO``.
        save: when it writes a snapshot; ``None`` where it does not tell.
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
    return found


async def look_at(client: Client) -> list[str]:
    """What is weak about the server, or about any master of the cluster."""
    if not isinstance(client, RedisCluster):
        return await _look_at_one(client)
    found: dict[str, None] = {}
    for node in client.get_primaries():
        found |= dict.fromkeys(await _look_at_one(client, target_nodes=node))
    return list(found)


async def _look_at_one(client: Client, **where: Any) -> list[str]:
    try:
        save = _text((await client.config_get("save", **where)).get("save"))
    except RedisError:  # managed servers do not tell
        save = None
    return weaknesses(await client.info(**where), save)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
