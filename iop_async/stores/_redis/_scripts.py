"""The scripts that the server runs, and the keys that they touch."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha1
from pathlib import Path
from typing import Final
from urllib.parse import quote

from attrs import frozen

_KEYS: Final = (
    "sellers", "facts", "bodies", "ids", "holders", "leased", "waiting", "ready", "wake",
    "counters",
)  # fmt: skip


@frozen
class Script:
    """A script, and what the server knows it by once it has seen it."""

    name: str
    text: bytes
    sha: str


def _load(name: str) -> Script:
    folder = Path(__file__).with_name("lua")
    text = b"".join((folder / f"{part}.lua").read_bytes() for part in ("common", name))
    return Script(name, text, sha1(text, usedforsecurity=False).hexdigest())


GET: Final = _load("get")
PUT: Final = _load("put")
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
    tag = f"{quote(prefix, safe=':/@')}:{quote(scope, safe='/@', errors='surrogatepass')}"
    return tuple(f"{{{tag}}}:{name}".encode() for name in _KEYS)
