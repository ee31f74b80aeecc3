"""A Redis server, or a Redis Cluster, as a store. It needs the extra ``iop-async[redis]``."""

from __future__ import annotations

try:
    import redis.asyncio  # noqa: F401 - first, for the message
except ImportError as _error:
    msg = "RedisStore needs redis: pip install 'iop-async[redis]'"
    raise ImportError(msg, name="redis") from _error

from ._store import RedisStore

__all__ = ["RedisStore"]
