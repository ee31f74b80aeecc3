"""Engines: those of users, and those that a store makes from a URL."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from attrs import frozen
from sqlalchemy import URL, StaticPool, event, make_url
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ._databases import Database, database_of, known

_SAME: Final = {"postgres": "postgresql"}
_OLDEST: Final = 1_800
"""Seconds after which a connection is replaced: proxies and servers drop those that are idle."""

PLACES: Final = 8
"""Connections that a pool of ours has, and no more: those that overflow it are closed as soon as
they are free, and opened again; and ten processes of a host must not need more of them than a
server allows."""


@frozen
class Engine:
    """An engine and what is known of it.

    Attributes:
        pool: where connections come from.
        where: what it is connected to, without user, password and options.
        is_own: the store made it, and disposes of it.
    """

    pool: AsyncEngine
    database: Database
    where: str
    is_own: bool

    @property
    def serves_one(self) -> bool:
        """Whether tasks must take turns, because they would share a transaction."""
        return self.database.has_one_writer or isinstance(self.pool.pool, StaticPool)


def open_engine(engine: object, timeout: float) -> Engine:
    """The engine at a URL, or the user's own. Nothing is connected yet.

    Args:
        timeout: seconds after which a transaction is given up.

    Raises:
        ImportError: the driver is not installed.
        TypeError: it is neither.
        ValueError: no URL that SQLAlchemy knows, or a database that this store does not know.
    """
    if isinstance(engine, str):
        url = _complete(engine)
        made = _make(url, timeout)
        return Engine(made, database_of(made.dialect), _where(url), is_own=True)
    if isinstance(engine, AsyncEngine):
        database = database_of(engine.dialect)
        return Engine(engine, database, _where(engine.url), is_own=False)
    msg = f"SQLAlchemyStore takes a URL or an AsyncEngine, not {type(engine).__name__}"
    raise TypeError(msg)


def _complete(text: str) -> URL:
    url: URL | None = None
    with suppress(sa.ArgumentError, ValueError):  # whose words quote what may be a password
        url = make_url(text)
    if url is None:
        msg = "this is no URL of a database: write for example postgresql://user@host/database"
        raise ValueError(msg)
    if url.host and "@" in f"{url.host}/{url.database}":
        msg = (
            "this URL cannot be read: odd characters in a user name or password need a percent sign"
        )
        raise ValueError(msg)
    scheme = _SAME.get(url.drivername, url.drivername)
    database = known(scheme.partition("+")[0])
    return url.set(drivername=scheme if "+" in scheme else database.driver)


def _make(url: URL, timeout: float) -> AsyncEngine:
    database = known(url.get_backend_name())
    options: dict[str, Any] = {"hide_parameters": True}
    if not database.has_one_writer:
        options |= {"isolation_level": database.isolation, "pool_recycle": _OLDEST}
        options |= {"pool_size": PLACES, "max_overflow": 0}
    if not _is_asynchronous(url):
        msg = f"{url.drivername}:// is no asynchronous driver; write {database.driver}://"
        raise ValueError(msg)
    try:
        engine = create_async_engine(url, **options)
    except ImportError as exc:
        driver = exc.name or url.get_driver_name()
        msg = f"{database.name} by {url.drivername}:// needs {driver}: pip install {driver}"
        raise ImportError(msg, name=driver) from None
    seconds = math.ceil(timeout) + 1
    statements = [statement.format(seconds=seconds) for statement in database.prepare]
    event.listen(engine.sync_engine, "connect", partial(_prepare, statements))
    return engine


def _is_asynchronous(url: URL) -> bool:
    with suppress(sa.NoSuchModuleError):
        return url.get_dialect().get_async_dialect_cls(url).is_async
    return False


def _prepare(statements: Iterable[str], connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
    connection.commit()


def _where(url: URL) -> str:
    host = url.host or ""
    port = f":{url.port}" if url.port else ""
    place = f"{host}{port}/{url.database or ''}"
    if host:
        place = place.rpartition("@")[2]  # before it stands what was not escaped in a password
    return f"{url.drivername}://{place}"
