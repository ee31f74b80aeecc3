"""A store by its URL, for settings that are text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from ..protocols import TokenStore
from ._memory import MemoryStore
from ._sqlite import SQLiteStore

_SCHEME: Final = re.compile(r"([A-Za-z][\w+.-]*)://", re.ASCII)


def from_url(url: str) -> TokenStore:
    """The store at ``url``; nothing is opened yet.

    ``sqlite:///tokens.db`` is a file in the current directory, ``sqlite:////var/lib/tokens.db``
    one with an absolute path, ``memory://`` keeps nothing.

    Raises:
        ValueError: the URL is none of these. The message does not repeat it: it may hold a
            password.
    """
    begin = _SCHEME.match(url)
    scheme = begin[1].lower() if begin else ""
    make = _STORES.get(scheme)
    if make is None:
        known = ", ".join(f"{name}://" for name in _STORES)
        begins = f"begins with {scheme}://" if scheme else "has no scheme"
        msg = f"the store URL {begins}; the known ones are {known}"
        raise ValueError(msg)
    parts: SplitResult | None = None
    with suppress(ValueError):  # whose words quote what may be a password
        parts = urlsplit(url)
    if parts is None:
        msg = f"the {scheme}:// URL cannot be read: brackets and odd characters need a percent sign"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = f"a {scheme}:// URL takes no options; write ? and # in a path as %3F and %23"
        raise ValueError(msg)
    return make(parts)


def _memory(parts: SplitResult) -> TokenStore:
    if parts.netloc or parts.path.strip("/"):
        msg = "memory:// names nothing: write just memory://"
        raise ValueError(msg)
    return MemoryStore()


def _sqlite(parts: SplitResult) -> TokenStore:
    if parts.netloc:
        msg = "sqlite:// takes no host: write sqlite:///tokens.db or sqlite:////absolute/tokens.db"
        raise ValueError(msg)
    path = unquote(parts.path).removeprefix("/")
    if not path:
        msg = "sqlite:/// needs a file: write sqlite:///tokens.db, or memory:// to keep nothing"
        raise ValueError(msg)
    return SQLiteStore(path)


_STORES: Final[Mapping[str, Callable[[SplitResult], TokenStore]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
}
