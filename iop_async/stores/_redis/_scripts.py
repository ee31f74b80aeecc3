"""The scripts that the server runs, and the keys that they touch."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from typing import Final
from urllib.parse import quote

from attrs import frozen

from ...protocols import MAX_LEASE_SECONDS
from .._columns import span, to_micros
from .._contract import DUE_STEP, MAX_READ_COUNT

_KEYS: Final = (
    "sellers", "facts", "bodies", "ids", "holders", "leased", "waiting", "ready", "wake",
    "order", "counters",
)  # fmt: skip


_BOUNDS: Final = {
    "DUE_STEP": DUE_STEP,
    "MAX_SPAN": span(MAX_LEASE_SECONDS),
    "MAX_READ_COUNT": MAX_READ_COUNT,
    "FIRST_MOMENT": to_micros(datetime.min.replace(tzinfo=UTC)),
    "LAST_MOMENT": to_micros(datetime.max.replace(tzinfo=UTC)),
}
"""Bounds of what is believed: scripts and readers of their answers mean the same records."""


@frozen
class Script:
    """A Lua script, and the SHA-1 that the server knows it by once it has seen it."""

    name: str
    text: bytes
    sha: str


def _load(name: str, *libraries: str) -> Script:
    folder = Path(__file__).with_name("lua")
    bounds = "".join(f"local {bound} = {value}\n" for bound, value in _BOUNDS.items())
    parts = ((folder / f"{part}.lua").read_bytes() for part in ("common", *libraries, name))
    text = bounds.encode() + b"".join(parts)
    return Script(name, text, sha1(text, usedforsecurity=False).hexdigest())


CHECK: Final = _load("check")
GET: Final = _load("get")
GET_MANY: Final = _load("get_many")
PUT: Final = _load("put", "write")
PUT_MANY: Final = _load("put_many", "write")
REMOVE: Final = _load("remove")
CLAIM: Final = _load("claim")
UNCLAIM: Final = _load("unclaim")
LEASE: Final = _load("lease")
NEXT_DUE: Final = _load("next_due")
PAGE: Final = _load("page")


@lru_cache(maxsize=64)
def keys_of(prefix: str, scope: str) -> tuple[bytes, ...]:
    """The keys of a scope. What stands in braces decides where a cluster keeps them.

    No colon of a scope is left, so that no two pairs of prefix and scope share a key.
    """
    tag = f"{quote(prefix, safe=':/@')}:{quote(scope, safe='/@')}"
    return tuple(f"{{{tag}}}:{name}".encode() for name in _KEYS)
