"""A store by its URL, for settings that are text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import frozen

from .._redact import Secret
from .._scrub import scrubs_frames
from .._secret_sources import read_secret
from ..protocols import BulkTokenStore, Checkable
from ._memory import MemoryStore
from ._options import Read, UnknownOption, UnusableUrl, count, seconds, take_options, text
from ._sqlite import SQLiteStore


class ConfiguredStore(BulkTokenStore, Checkable, Protocol):
    """A store by its URL: what can be done with it, whatever it turns out to be.

    Example::

        store = iop.stores.from_url("sqlite:///tokens.db")
        await store.create_tables()
        await store.aclose()
    """

    async def create_tables(self) -> None:
        """Make what the store needs to be there and is not. Again, or by several hosts: no harm."""
        ...

    async def __aenter__(self) -> Self:
        """Open it."""
        ...

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        ...


_Make: TypeAlias = Callable[..., ConfiguredStore]
"""Makes a store from the scheme of its URL, the rest, which may hold a password, and options."""

_SCHEME: Final = re.compile(r"([A-Za-z][\w+.-]*)://", re.ASCII)
_ENCRYPT: Final = re.compile(r"(?<=[?&])encrypt(?:=([^&#]*))?(?:&|(?=#|$))", re.IGNORECASE)
_MISPLACED: Final = re.compile(r"encrypt\w*\s*=|=\s*(?:env|file|command):", re.IGNORECASE)
_KEYS: Final = re.compile(r"(?:env:[A-Za-z_]\w*|(?:file|command):\s*\S.*)", re.ASCII)


@scrubs_frames
def from_url(url: str, *, accept_plain: bool = False) -> ConfiguredStore:
    """The store at ``url``; nothing is opened yet.

    - ``memory://`` keeps nothing.
    - ``sqlite:///tokens.db`` is a file in the current directory, ``sqlite:////var/lib/tokens.db``
      one by its absolute path. Option: ``busy_timeout``.
    - ``postgresql://``, ``postgres://``, ``mysql://``, ``mariadb://`` as hosts hand them out, by
      the installed driver or the one that they name (``postgresql+asyncpg``, ``+psycopg``;
      ``mysql+aiomysql``, ``+asyncmy``, so MariaDB), and ``sqlite+aiosqlite:///``. Extra ``sql``.
      Options: ``table_prefix``, ``timeout``, ``pool_size``, ``idle_timeout``, and the driver's.
    - ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` are one server;
      ``redis+sentinel://host,host/service/0`` and ``redis+cluster://host,host`` are several, and so
      with ``rediss``, ``valkey`` and ``valkeys`` before the ``+``. Extra ``redis``. Options:
      ``prefix``, ``timeout``, and those of the client.

    Options are the arguments of the store's class by their names, as in ``?table_prefix=iop_``.
    With ``?encrypt=env:IOP_KEYS`` any of them is an :class:`EncryptedStore` (extra ``crypto``) with
    the keys in that variable as ``ID=KEY,ID=KEY``; with ``?encrypt=file:/run/secrets/iop_keys`` in
    a file, one a line or as there; with ``?encrypt=command:pass%20show%20iop`` a program prints
    them, run here and now without a shell: take no such URL from strangers.

    Args:
        url: where the store is.
        accept_plain: that of an :class:`EncryptedStore`, while a store is being encrypted.

    Raises:
        ValueError: the URL is none of these, an option is not known, or the keys are none. The
            message repeats no part of the URL, which may hold a password, but for where keys are.
        ImportError: an extra or a driver is missing.

    Example::

        store = iop.stores.from_url("sqlite:///tokens.db?busy_timeout=5")
        async with store, iop.TokenManager(client, store) as tokens:
            await tokens.import_token(token)
    """
    scheme, kind, rest = _kind_of(url)
    plain, source = _without_encryption(scheme, rest)
    store = _plain_store(scheme, kind, plain)
    return store if source is None else _encrypted(store, source, accept_plain=accept_plain)


def _kind_of(url: str) -> tuple[str, _Kind, str]:
    begin = _SCHEME.match(url)
    scheme = begin[1].lower() if begin else ""
    kind = _STORES.get(scheme)
    if begin is None or kind is None:
        raise ValueError(_unknown(scheme))
    return scheme, kind, url[begin.end() :]


def _plain_store(scheme: str, kind: _Kind, rest: str) -> ConfiguredStore:
    try:
        place, options = take_options(rest, kind.options)
        return kind.make(scheme, place, **options)
    except UnknownOption as error:
        words = str(error.among({*kind.options, "encrypt"}))
    except UnusableUrl as error:
        words = str(error)
    msg = f"a {scheme}:// URL: {words}"
    raise ValueError(msg)


def _unknown(scheme: str) -> str:
    if scheme in _SPELLINGS:
        return f"the store URL begins with {scheme}://; write {_SPELLINGS[scheme]}://"
    base, _, driver = scheme.partition("+")
    if driver and base in _STORES:
        drivers = ", ".join(f"{name}://" for name in _STORES if name.startswith(f"{base}+"))
        also = f", or one of {drivers}" if drivers else ""
        return f"the store URL begins with {scheme}://; write {base}://{also}"
    known = ", ".join(f"{name}://" for name in _STORES)
    begins = f"begins with {scheme}://" if scheme else "has no scheme"
    return f"the store URL {begins}; the known ones are {known}"


def _without_encryption(scheme: str, rest: str) -> tuple[str, str | None]:
    """The rest behind the scheme, and where the keys are; as text, lest it be changed."""
    found = list(_ENCRYPT.finditer(rest))
    plain = _ENCRYPT.sub("", rest).rstrip("?&") if found else rest
    # One that stands elsewhere or is misspelled would leave a store in clear text, or name a file.
    is_misplaced = _MISPLACED.search(unquote(plain.rpartition("@")[2])) is not None
    if not found and not is_misplaced:
        return rest, None
    source = _KEYS.fullmatch(unquote(found[0][1] or "")) if found else None
    if source is None or len(found) > 1 or is_misplaced:
        msg = (
            f"a {scheme}:// URL takes encrypt=env:NAME once, after a ? or &, where NAME is an "
            "environment variable with the keys, or encrypt=file:PATH, or encrypt=command:PROGRAM; "
            "a key does not belong into a URL, which is logged and shown"
        )
        raise ValueError(msg)
    return plain, source[0]


def _encrypted(store: BulkTokenStore, source: str, *, accept_plain: bool) -> ConfiguredStore:
    from . import EncryptedStore

    try:
        keys = read_secret("the keys of a store", source)
        return EncryptedStore(store, Secret(keys.replace("\n", ",")), accept_plain=accept_plain)
    except ValueError as error:
        problem = str(error)
    kind, _, place = source.partition(":")
    # Of a command not its arguments, which may be secret.
    named = {"env": f"environment variable {place}", "file": f"file {place}"}.get(kind, kind)
    msg = f"the {named} does not hold the keys of a store: {problem}"
    raise ValueError(msg)


def _memory(scheme: str, rest: str) -> MemoryStore:
    parts = _parts(scheme, rest, "encrypt")
    if parts.netloc or parts.path.strip("/"):
        msg = "memory:// names nothing: write just memory://"
        raise ValueError(msg)
    return MemoryStore()


def _sqlite(scheme: str, rest: str, **options: Any) -> SQLiteStore:
    parts = _parts(scheme, rest, "busy_timeout, encrypt")
    if parts.netloc:
        msg = "sqlite:// takes no host: write sqlite:///tokens.db or sqlite:////absolute/tokens.db"
        raise ValueError(msg)
    path = unquote(parts.path).removeprefix("/")
    if not path:
        msg = "sqlite:/// needs a file: write sqlite:///tokens.db, or memory:// to keep nothing"
        raise ValueError(msg)
    return SQLiteStore(path, **options)


def _parts(scheme: str, rest: str, options: str) -> SplitResult:
    """The parts of a URL of which no option is left."""
    parts: SplitResult | None = None
    with suppress(ValueError):  # whose words quote what may be a password
        parts = urlsplit(f"{scheme}://{rest}")
    if parts is None:
        msg = f"the {scheme}:// URL cannot be read: brackets and odd characters need a percent sign"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = (
            f"a {scheme}:// URL takes no options but {options}; write ? and # in a path as %3F and "
            "%23"
        )
        raise ValueError(msg)
    return parts


def _redis(scheme: str, rest: str, **options: Any) -> ConfiguredStore:
    from . import RedisStore

    return _made(scheme, rest, partial(RedisStore, **options))


def _sql(scheme: str, rest: str, **options: Any) -> ConfiguredStore:
    from . import SQLAlchemyStore

    return _made(scheme, rest, partial(SQLAlchemyStore, **options))


def _made(scheme: str, rest: str, make: Callable[[str], ConfiguredStore]) -> ConfiguredStore:
    kind = ""
    try:
        return make(f"{scheme}://{rest}")
    except (ImportError, UnusableUrl):  # a driver is missing; or it is of our own words
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, its words may quote a password
        kind = type(error).__name__
    msg = (
        f"the {scheme}:// URL cannot be read ({kind}); odd characters in a user name or password "
        "need a percent sign"
    )
    raise ValueError(msg)


@frozen
class _Kind:
    make: _Make
    options: Mapping[str, Read]


_FILE: Final = _Kind(_sqlite, {"busy_timeout": seconds})
_SERVER: Final = _Kind(_redis, {"prefix": text, "timeout": seconds})
_DATABASE: Final = _Kind(
    _sql, {"table_prefix": text, "timeout": seconds, "pool_size": count, "idle_timeout": seconds}
)

_STORES: Final[Mapping[str, _Kind]] = {
    "memory": _Kind(_memory, {}),
    "sqlite": _FILE,
    "postgresql": _DATABASE,
    "postgres": _DATABASE,
    "postgresql+asyncpg": _DATABASE,
    "postgresql+psycopg": _DATABASE,
    "mysql": _DATABASE,
    "mysql+aiomysql": _DATABASE,
    "mysql+asyncmy": _DATABASE,
    "mariadb": _DATABASE,
    "mariadb+aiomysql": _DATABASE,
    "mariadb+asyncmy": _DATABASE,
    "sqlite+aiosqlite": _DATABASE,
    **{
        f"{scheme}{several}": _SERVER
        for several in ("", "+sentinel", "+cluster")
        for scheme in ("redis", "rediss", "valkey", "valkeys")
    },
}

_SPELLINGS: Final = {
    "sqlite3": "sqlite",
    "pgsql": "postgresql",
    "psql": "postgresql",
    "sentinel": "redis+sentinel",
    "redis-sentinel": "redis+sentinel",
    "redis-cluster": "redis+cluster",
    "redis+ssl": "rediss",
    "redis+tls": "rediss",
}
