"""Engines: those of users, and those that a store makes from a URL."""

from __future__ import annotations

import math
from asyncio import CancelledError
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from sqlalchemy import URL, ExceptionContext, StaticPool, event, make_url
from sqlalchemy import exc as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from .._files import create_private, require_own
from .._options import UnusableUrl, option_names
from ._databases import Database, database_of, known
from ._driver_options import driver_arguments
from ._idle import IdleConnections
from ._poolers import Connections, OwnConnections, UsersConnections

_SCHEME_ALIASES: Final = {"postgres": "postgresql"}
_CONNECTION_MAX_AGE: Final = 1_800
"""Seconds after which a connection is replaced: proxies and servers drop those that are idle."""

POOL_SIZE: Final = 8
"""Connections that a pool of ours has where nobody says how many, and no more: those that overflow
it are closed as soon as they are free, and opened again; and ten processes of a host must not need
more of them than a server allows."""


@frozen
class Engine:
    """An engine and what is known of it.

    Attributes:
        pool: where connections come from.
        where: what it is connected to, without user, password and options.
        pool_size: connections that it may have; ``None`` of the user's, who decides that.
        connections: what a pooler makes necessary, where there may be one.
        idle: connections that are let go, where the store made the engine.
    """

    pool: AsyncEngine
    database: Database
    where: str
    pool_size: int | None
    connections: Connections | None
    idle: IdleConnections | None = None

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection of the pool."""
        return self.pool.connect() if self.idle is None else self.idle.connected()

    @property
    def is_own(self) -> bool:
        """Whether the store made it, and disposes of it."""
        return self.pool_size is not None

    async def autocommits(self, db: AsyncConnection) -> bool:
        """Have each statement committed by itself, where that saves round trips; whether it is."""
        if self.database.switches_freely:
            if self.connections is not None and not self.connections.may_autocommit(db):
                return False
            await db.execution_options(isolation_level="AUTOCOMMIT")
            return True
        return self._begins

    async def isolate(self, db: AsyncConnection) -> None:
        """Have the next transaction isolated as writes need it."""
        if not self.is_own:
            await db.execution_options(isolation_level=self.database.isolation)

    async def begin(self, db: AsyncConnection) -> None:
        """Begin a transaction that writes."""
        if self._begins:
            await db.exec_driver_sql(self.database.begin or "")
        if self.connections is not None:
            await self.connections.begin(db)

    @property
    def _begins(self) -> bool:
        return self.is_own and self.database.begin is not None

    @property
    def serves_one(self) -> bool:
        """Whether tasks must take turns, because they would share a transaction."""
        return self.database.has_one_writer or isinstance(self.pool.pool, StaticPool)


def open_engine(engine: object, *, timeout: float, pool_size: int, idle_timeout: float) -> Engine:
    """The engine at a URL, or the user's own. Nothing is connected yet.

    Args:
        timeout: seconds after which a transaction is given up.
        pool_size: connections of an engine that is made here.
        idle_timeout: seconds after which it lets those go that it does not need.

    Raises:
        ImportError: the driver is not installed.
        TypeError: it is neither.
        ValueError: no URL that SQLAlchemy knows, or a database that this store does not know.
    """
    if isinstance(engine, str):
        url = _complete(engine)
        # a second more than a transaction may take: whoever is alive has given it up by then
        idle_seconds = math.ceil(timeout) + 1
        made = _make(url, idle_seconds, pool_size)
        database = database_of(made.dialect)
        own = OwnConnections(idle_seconds) if database.may_be_pooled else None
        if own is not None:
            own.listen(made)
        idle = None if database.has_one_writer else IdleConnections(made, idle_timeout)
        return Engine(made, database, _where(url), pool_size, connections=own, idle=idle)
    if isinstance(engine, AsyncEngine):
        database = database_of(engine.dialect)
        where = _where(engine.url)
        users = UsersConnections(where) if database.may_be_pooled else None
        return Engine(engine, database, where, None, connections=users)
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
    if set(option_names(text)) - set(url.query):
        msg = "an option of the URL has no value"
        raise UnusableUrl(msg)
    base, _, driver = url.drivername.partition("+")
    base = _SCHEME_ALIASES.get(base, base)
    database = known(base)
    if driver and driver not in database.drivers:
        others = ", ".join(f"{base}+{name}://" for name in database.drivers)
        msg = f"this driver is not asynchronous, or not known: write {base}://, or one of {others}"
        raise UnusableUrl(msg)
    return url.set(drivername=f"{base}+{driver or database.driver}")


def _make(url: URL, idle_seconds: int, pool_size: int) -> AsyncEngine:
    database = known(url.get_backend_name())
    options: dict[str, Any] = {"hide_parameters": True}
    if not database.has_one_writer:
        options |= {"pool_recycle": _CONNECTION_MAX_AGE}
        options |= {"pool_size": pool_size, "max_overflow": 0}
        if database.begin is None:
            options["isolation_level"] = database.isolation
    url, options["connect_args"] = driver_arguments(url)
    try:
        engine = create_async_engine(url, **options)
    except ImportError as exc:
        driver = exc.name or url.get_driver_name()
        msg = f"{database.name} by {url.drivername}:// needs {driver}: pip install {driver}"
        raise ImportError(msg, name=driver) from None
    if database.has_one_writer and url.database not in (None, "", ":memory:"):
        own_file = partial(_own_file, Path(url.database).absolute())
        event.listen(engine.sync_engine, "do_connect", own_file)
    event.listen(engine.sync_engine, "handle_error", _doubt_all)
    if database.prepare:
        statements = [statement.format(seconds=idle_seconds) for statement in database.prepare]
        event.listen(engine.sync_engine, "connect", partial(_prepare, statements))
    if database.begin is not None:
        engine.dialect.do_rollback = _end_transaction  # type: ignore[method-assign, assignment]
    return engine


def _doubt_all(context: ExceptionContext) -> None:
    """Where one connection got no answer in time, the others of its pool may be as dead.

    Behind a firewall that forgot them, say. Each would be waited for as long; so all are made anew.
    """
    if isinstance(context.original_exception, CancelledError):
        context.invalidate_pool_on_disconnect = True


def _own_file(path: Path, *_: object) -> None:
    """Have a private file before SQLite makes one that anybody may read."""
    with suppress(FileNotFoundError):  # its directory is missing, and SQLite says so
        with suppress(FileExistsError):
            create_private(path)
        require_own(path)


def _prepare(statements: Iterable[str], connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    cursor.close()
    connection.commit()


def _end_transaction(connection: Any) -> None:
    # SQLAlchemy asks for it whenever a connection goes back to the pool: a round trip each time
    if connection.driver_connection.get_transaction_status():
        connection.rollback()


def _where(url: URL) -> str:
    host = url.host or ""
    port = f":{url.port}" if url.port else ""
    place = f"{host}{port}/{url.database or ''}"
    if host:
        place = place.rpartition("@")[2]  # before it stands what was not escaped in a password
    return f"{url.drivername}://{place}"
