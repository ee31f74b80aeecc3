"""A store by its URL, for settings that are text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from .._redact import Secret
from ..protocols import TokenStore
from ._memory import MemoryStore
from ._sqlite import SQLiteStore

_Make: TypeAlias = Callable[[str, str], TokenStore]
"""Makes a store from the scheme of its URL and the rest, which may hold a password."""

_SCHEME: Final = re.compile(r"([A-Za-z][\w+.-]*)://", re.ASCII)
_ENCRYPT: Final = re.compile(r"(?<=[?&])encrypt(?:=([^&#]*))?(?:&|(?=#|$))", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"env:([A-Za-z_]\w*)", re.ASCII)


def from_url(url: str) -> TokenStore:
    """The store at ``url``; nothing is opened yet.

    ``sqlite:///tokens.db`` is a file in the current directory, ``sqlite:////var/lib/tokens.db``
    one with an absolute path, ``memory://`` keeps nothing. ``redis://`` and ``rediss://`` need the
    extra ``redis``, ``postgresql+asyncpg://``, ``mysql+aiomysql://``, ``mysql+asyncmy://`` and
    ``sqlite+aiosqlite://`` the extra ``sql``; their options are handed on as they are.

    With ``?encrypt=env:IOP_KEYS`` any of them is an :class:`EncryptedStore`, whose keys stand in
    that environment variable as ``ID=KEY,ID=KEY``. It needs the extra ``crypto``.

    Raises:
        ValueError: the URL is none of these, or the keys are none. The message repeats neither:
            a URL may hold a password.
        ImportError: an extra is missing.
    """
    begin = _SCHEME.match(url)
    scheme = begin[1].lower() if begin else ""
    make = _STORES.get(scheme)
    if begin is None or make is None:
        raise ValueError(_unknown(scheme))
    plain, variable = _without_encryption(scheme, url[begin.end() :])
    store = make(scheme, plain)
    return store if variable is None else _encrypted(store, variable)


def _unknown(scheme: str) -> str:
    if scheme in _SPELLINGS:
        return f"the store URL begins with {scheme}://; write {_SPELLINGS[scheme]}://"
    known = ", ".join(f"{name}://" for name in _STORES)
    begins = f"begins with {scheme}://" if scheme else "has no scheme"
    return f"the store URL {begins}; the known ones are {known}"


def _without_encryption(scheme: str, rest: str) -> tuple[str, str | None]:
    """What stands behind the scheme, and the variable with the keys; text, lest it be changed."""
    found = list(_ENCRYPT.finditer(rest))
    if not found:
        return rest, None
    variable = _VARIABLE.fullmatch(unquote(found[0][1] or ""))
    if variable is None or len(found) > 1:
        msg = (
            f"a {scheme}:// URL takes encrypt=env:NAME once, where NAME is an environment variable "
            "with the keys; a key does not belong into a URL, which is logged and shown"
        )
        raise ValueError(msg)
    return _ENCRYPT.sub("", rest).rstrip("?&"), variable[1]


def _encrypted(store: TokenStore, variable: str) -> TokenStore:
    from . import EncryptedStore

    problem = "it is not set, or empty"
    if os.environ.get(variable, "").strip():
        try:
            return EncryptedStore(store, Secret(os.environ[variable]))
        except ValueError as error:
            problem = str(error)
    msg = f"the environment variable {variable} does not hold the keys of a store: {problem}"
    raise ValueError(msg)


def _memory(scheme: str, rest: str) -> TokenStore:
    parts = _parts(scheme, rest)
    if parts.netloc or parts.path.strip("/"):
        msg = "memory:// names nothing: write just memory://"
        raise ValueError(msg)
    return MemoryStore()


def _sqlite(scheme: str, rest: str) -> TokenStore:
    parts = _parts(scheme, rest)
    if parts.netloc:
        msg = "sqlite:// takes no host: write sqlite:///tokens.db or sqlite:////absolute/tokens.db"
        raise ValueError(msg)
    path = unquote(parts.path).removeprefix("/")
    if not path:
        msg = "sqlite:/// needs a file: write sqlite:///tokens.db, or memory:// to keep nothing"
        raise ValueError(msg)
    return SQLiteStore(path)


def _parts(scheme: str, rest: str) -> SplitResult:
    """The parts of a URL that takes no options."""
    parts: SplitResult | None = None
    with suppress(ValueError):  # whose words quote what may be a password
        parts = urlsplit(f"{scheme}://{rest}")
    if parts is None:
        msg = f"the {scheme}:// URL cannot be read: brackets and odd characters need a percent sign"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = (
            f"a {scheme}:// URL takes no options but encrypt=env:NAME; write ? and # in a path "
            "as %3F and %23"
        )
        raise ValueError(msg)
    return parts


def _redis(scheme: str, rest: str) -> TokenStore:
    from . import RedisStore

    return _made(scheme, rest, RedisStore)


def _sql(scheme: str, rest: str) -> TokenStore:
    from . import SQLAlchemyStore

    return _made(scheme, rest, SQLAlchemyStore)


def _made(scheme: str, rest: str, make: Callable[[str], TokenStore]) -> TokenStore:
    kind = ""
    try:
        return make(f"{scheme}://{rest}")
    except ImportError:  # a driver is missing: the words say which
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its words may quote a password
        kind = type(error).__name__
    msg = (
        f"the {scheme}:// URL cannot be read ({kind}); odd characters in a user name or password "
        "need a percent sign, and options are those of the driver"
    )
    raise ValueError(msg)


_STORES: Final[Mapping[str, _Make]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "redis": _redis,
    "rediss": _redis,
    "postgresql+asyncpg": _sql,
    "mysql+aiomysql": _sql,
    "mysql+asyncmy": _sql,
    "sqlite+aiosqlite": _sql,
}

_SPELLINGS: Final = {
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
    "mariadb": "mysql+aiomysql",
}
