"""Which server is the master, and who may take its place, by the word of all Sentinels.

While one takes over, a Sentinel that has not heard of it names the old master, which goes on taking
writes for some ten seconds (observed, Redis 7.0). The newest configuration is the right one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio.sentinel import MasterNotFoundError, Sentinel


class Answer(NamedTuple):
    """What a Sentinel says, in the order in which answers are believed.

    Attributes:
        replicas: how many follow the master, so that each may be put in its place.
    """

    epoch: int
    host: str
    port: int
    replicas: int


class Sentinels(Sentinel):
    """Asks all Sentinels at once, and believes the one with the newest configuration."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """The address of the master; raises ``MasterNotFoundError`` where nobody knows it."""
        answer = await newest_answer(self.sentinels, service_name)
        return answer.host, answer.port


async def newest_answer(sentinels: Sequence[Any], service: str) -> Answer:
    """What is true by the newest configuration; raises ``MasterNotFoundError`` where nobody says.

    Args:
        sentinels: clients of them, of redis-py or valkey-py.
    """
    asked = await asyncio.gather(*(_ask(one, service) for one in sentinels))
    answers = [answer for answer in asked if answer is not None]
    if not answers:
        msg = "no Sentinel answers, or none knows the service"
        raise MasterNotFoundError(msg)
    return max(answers)


async def _ask(sentinel: Any, service: str) -> Answer | None:
    try:
        # the state first: it may be older than the address, and then is believed less
        state = await sentinel.sentinel_master(service)
        address = await sentinel.sentinel_get_master_addr_by_name(service)
        replicas = await _count_replicas(sentinel, service, state)
    except Exception:  # noqa: BLE001 - others answer, or none does
        return None
    if not address:
        return None
    host = address[0].decode() if isinstance(address[0], bytes) else str(address[0])
    return Answer(int(state.get("config-epoch", 0)), host, int(address[1]), replicas)


async def _count_replicas(sentinel: Any, service: str, state: Any) -> int:
    try:
        return sum(map(_follows, await sentinel.sentinel_slaves(service)))
    except Exception:  # noqa: BLE001 - its rules (ACL) may allow no more than the above
        return int(state.get("num-slaves", 0))


def _follows(replica: Any) -> bool:
    # one that becomes the master is cut off from the Sentinels for a moment, and counts (observed)
    is_down = replica.get("is_sdown") or replica.get("is_odown")
    return replica.get("master-link-status") == "ok" and not is_down
