"""PostgreSQL behind a connection pooler, PgBouncer for one.

A pooler lends each transaction a connection to the server that others had before. So a prepared
statement with a name is not there, or is another program's of the same name, whose rows come back
without an error; and a setting of the session goes to whoever comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from attrs import define, frozen
from sqlalchemy import TextClause, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..._exceptions import StoreError

_NAMED: Final[Mapping[str, Mapping[str, Any]]] = {
    "asyncpg": {"statement_cache_size": 100},
    "psycopg": {"prepare_threshold": 5},
}
_UNNAMED: Final[Mapping[str, Mapping[str, Any]]] = {
    "asyncpg": {"statement_cache_size": 0},
    "psycopg": {"prepare_threshold": None},
}
"""By driver, the arguments of its ``connect``: the defaults, and those that name no statements."""

_IS_NAMED: Final = "iop_async.names_statements"
_IS_POOLED: Final = "iop_async.is_pooled"
_ISOLATION: Final = "iop_async.default_isolation"


class Connections(Protocol):
    """What is to be done with connections because there may be a pooler."""

    async def look_at(self, db: AsyncConnection) -> None:
        """Before a connection is used; costs a round trip when it is new."""
        ...

    async def begin(self, db: AsyncConnection) -> None:
        """At the beginning of a transaction that writes."""
        ...

    def may_autocommit(self, db: AsyncConnection) -> bool:
        """Whether a statement outside of a transaction is isolated as the store needs it."""
        ...


@define
class OwnConnections:
    """Connections of an engine that the store made: right with a pooler, and faster without.

    Args:
        idle_seconds: how long a transaction may stand still before the server ends it.
    """

    _idle_seconds: int
    _may_name: bool = False

    def listen(self, engine: AsyncEngine) -> None:
        """Have a say in how the engine connects."""
        event.listen(engine.sync_engine, "do_connect", self._connect)

    def _connect(self, dialect: Any, record: Any, _: object, params: dict[str, Any]) -> None:
        # whatever the URL says: it is written by those who do not know of the pooler yet
        params.update((_NAMED if self._may_name else _UNNAMED).get(dialect.driver, {}))
        record.info[_IS_NAMED] = self._may_name

    async def look_at(self, db: AsyncConnection) -> None:
        """Name statements from the next connection on where there is no pooler.

        Raises:
            ConnectionError: there is one since lately, and this connection has named some.
        """
        if _IS_POOLED in db.info:
            return
        goes_through_one = await _is_pooled(db)
        if goes_through_one and db.info[_IS_NAMED]:
            self._may_name = False
            raise ConnectionResetError
        if not goes_through_one:
            await db.execute(_LIMIT_SESSION, self._limit)
        await db.commit()
        db.info[_IS_POOLED] = goes_through_one
        if not goes_through_one and not db.info[_IS_NAMED]:
            # A server plans a statement without a name anew each time, which takes a third of the
            # time of a short transaction. This connection is replaced after its first use.
            self._may_name = True
            (await db.get_raw_connection()).invalidate(soft=True)

    async def begin(self, db: AsyncConnection) -> None:
        """Limit how long the transaction may stand still, unless the session is limited."""
        if db.info[_IS_POOLED]:
            await db.execute(_LIMIT_TRANSACTION, self._limit)

    def may_autocommit(self, db: AsyncConnection) -> bool:
        """Unless an administrator has isolated transactions more strictly."""
        return _is_read_committed(db)

    @property
    def _limit(self) -> dict[str, str]:
        return {"limit": f"{self._idle_seconds}s"}


@frozen
class UsersConnections:
    """Connections of an engine that a user made, who may name statements but behind a pooler."""

    _where: str

    async def look_at(self, db: AsyncConnection) -> None:
        """Raises ``StoreError`` where statements are named behind a pooler."""
        if _IS_POOLED in db.info:
            return
        goes_through_one = await _is_pooled(db)
        if goes_through_one and await _names_statements(db):
            raise self._refusal(db.dialect.driver)
        await db.commit()
        db.info[_IS_POOLED] = goes_through_one

    async def begin(self, db: AsyncConnection) -> None:
        """Limits are the user's to set."""

    def may_autocommit(self, db: AsyncConnection) -> bool:
        """Unless somebody has isolated transactions more strictly.

        Nor behind a pooler, where names of statements hold for no longer than a transaction.
        """
        return _is_read_committed(db) and not is_pooled(db)

    def _refusal(self, driver: str) -> StoreError:
        msg = (
            f"{self._where}: this engine names its prepared statements, and its connections go "
            "through a pooler such as PgBouncer, which would give it the rows of other programs. "
            f"Make it with create_async_engine(url, connect_args={dict(_UNNAMED[driver])}), or "
            "give the store the URL"
        )
        return StoreError(msg, retryable=False)


def is_pooled(db: AsyncConnection) -> bool | None:
    """Whether a connection was found to go through a pooler; ``None`` where none could be."""
    found: bool | None = db.info.get(_IS_POOLED)
    return found


async def _is_pooled(db: AsyncConnection) -> bool:
    """Whether the server's process is another than the one that was announced on connecting."""
    driver: Any = (await db.get_raw_connection()).driver_connection
    # a pooler must make one up, because the client has no one process to itself
    is_asyncpg = hasattr(driver, "get_server_pid")
    announced = driver.get_server_pid() if is_asyncpg else driver.info.backend_pid
    pid, db.info[_ISOLATION] = (await db.execute(_ASK)).one()
    return bool(pid != announced)


def _is_read_committed(db: AsyncConnection) -> bool:
    return bool(db.info.get(_ISOLATION) == "read committed")


async def _names_statements(db: AsyncConnection) -> bool:
    raw: Any = await db.get_raw_connection()
    driver, adapted = raw.driver_connection, raw.dbapi_connection
    if hasattr(driver, "prepare_threshold"):
        return driver.prepare_threshold is not None
    # SQLAlchemy's own recipe: names that nobody else has, each of them for one execution
    if adapted._prepared_statement_cache is None and adapted._prepared_statement_name_func():
        return False
    return bool((await driver.prepare("SELECT 1")).get_name())


def _limit_idle(*, is_local: bool) -> TextClause:
    # an administrator's time-out that is stricter stays as it is
    return text(
        f"""SELECT set_config('idle_in_transaction_session_timeout', :limit, {is_local})
        WHERE CAST(current_setting('idle_in_transaction_session_timeout') AS interval)
            NOT BETWEEN CAST('1us' AS interval) AND CAST(:limit AS interval)"""
    )


_ASK: Final = text("SELECT pg_backend_pid(), current_setting('default_transaction_isolation')")
_LIMIT_SESSION: Final = _limit_idle(is_local=False)
_LIMIT_TRANSACTION: Final = _limit_idle(is_local=True)
