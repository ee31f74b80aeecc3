"""The dialects: what differs between the databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Final, Literal

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Insert,
    LargeBinary,
    Table,
    case,
    cast,
    func,
    literal_column,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite


@frozen(kw_only=True)
class Database:
    """One kind of database.

    Attributes:
        drivers: those that a URL may name. Where it names none, the first that is installed.
        clock: the database's time in microseconds since 1970, whatever the session's time zone.
        isolation: the isolation level of writes: others' commits are seen at once, and no gap
            between rows is locked.
        skips_locked_since: the first version with ``SKIP LOCKED``.
        has_one_writer: transactions that write wait for each other anyway, and better in a queue
            of ours than by polling.
        insert_missing: an insert that leaves a row alone that is there already.
        may_be_pooled: a pooler may stand before it, which its clients do not see.
        typed: a column as an expression that has a value of its type, or none.
        prepare: statements for a new connection of ours; ``{seconds}`` is how long a transaction
            may stand still. A host that is gone without a word would hold its locks for hours.
        max_statement: asks for the bytes of the longest statement, where the server ends the
            connection at a longer one, as if it had broken.
        begin: what begins a transaction on a connection of ours, whose session commits each
            statement by itself otherwise; ``None`` where the driver does all that.
        switches_freely: whether a connection commits each statement by itself is the driver's to
            decide, and costs no round trip.
        returns_updated: it has ``UPDATE ... RETURNING``.
        many_rows_by: how one parameter brings the values of many rows, where it skips locked ones.
    """

    name: str
    drivers: tuple[str, ...]
    clock: ColumnElement[int]
    isolation: str = "READ COMMITTED"
    skips_locked_since: tuple[int, ...] | None = None
    has_one_writer: bool = False
    insert_missing: Callable[[Table], Insert]
    may_be_pooled: bool = False
    typed: Callable[[Column[Any]], ColumnElement[Any]] = lambda column: column
    prepare: tuple[str, ...] = ()
    max_statement: str | None = None
    begin: str | None = None
    switches_freely: bool = False
    returns_updated: bool = False
    many_rows_by: Literal["arrays", "json"] | None = None

    @property
    def driver(self) -> str:
        """The driver where a URL names none."""
        return next(filter(find_spec, self.drivers), self.drivers[0])

    def skips_locked(self, dialect: Dialect) -> bool:
        """Whether the server that ``dialect`` has connected to has ``SKIP LOCKED``."""
        version: Any = getattr(dialect, "server_version_info", None)
        since = self.skips_locked_since
        return since is not None and version is not None and tuple(version) >= since


def _clock(expression: str) -> ColumnElement[int]:
    return literal_column(expression, BigInteger)


_MYSQL_CLOCK: Final = _clock("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))")

# What is a comment for MySQL, which has no such variable, is none for MariaDB. An administrator's
# time-out that is stricter stays as it is.
_MYSQL_LIMIT: Final = (
    "SET SESSION wait_timeout = @@wait_timeout /*M!100301, idle_transaction_timeout = IF("
    "@@idle_transaction_timeout BETWEEN 1 AND {seconds}, @@idle_transaction_timeout, {seconds}) */"
)
_MYSQL_PREPARE: Final = (
    _MYSQL_LIMIT,
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET autocommit = 1",
)
_MYSQL_BEGIN: Final = "START TRANSACTION"
"""A mere ``BEGIN`` begins a block in MariaDB's ORACLE mode."""

_MYSQL_MAX_STATEMENT: Final = "SELECT @@max_allowed_packet"


def _insert_or_keep(table: Table) -> Insert:
    # IGNORE would warn of each row that is there already, and asyncmy logs what a server warns of.
    kept = {column.name: column for column in table.primary_key}
    return mysql.insert(table).on_duplicate_key_update(kept)


def _sqlite_typed(column: Column[Any]) -> ColumnElement[Any]:
    # SQLite keeps a value of any type in any column. One text that is no UTF-8, where a driver
    # expects none, would fail the statement, and every row with it.
    if isinstance(column.type, LargeBinary):
        return cast(column, LargeBinary).label(column.name)
    is_integer = func.typeof(column) == "integer"
    return case((is_integer, column)).label(column.name)


_POSTGRESQL: Final = Database(
    name="PostgreSQL",
    drivers=("asyncpg", "psycopg"),
    clock=_clock("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"),
    skips_locked_since=(9, 5),
    insert_missing=lambda table: postgresql.insert(table).on_conflict_do_nothing(),
    may_be_pooled=True,
    switches_freely=True,
    returns_updated=True,
    many_rows_by="arrays",
)
_MYSQL: Final = Database(
    name="MySQL",
    drivers=("aiomysql", "asyncmy"),
    clock=_MYSQL_CLOCK,
    skips_locked_since=(8, 0, 1),
    insert_missing=_insert_or_keep,
    max_statement=_MYSQL_MAX_STATEMENT,
    prepare=_MYSQL_PREPARE,
    begin=_MYSQL_BEGIN,
    many_rows_by="json",
)
_MARIADB: Final = Database(
    name="MariaDB",
    drivers=("aiomysql", "asyncmy"),
    clock=_MYSQL_CLOCK,
    skips_locked_since=(10, 6),
    insert_missing=_insert_or_keep,
    max_statement=_MYSQL_MAX_STATEMENT,
    prepare=_MYSQL_PREPARE,
    begin=_MYSQL_BEGIN,
    many_rows_by="json",
)
_SQLITE: Final = Database(
    name="SQLite",
    drivers=("aiosqlite",),
    clock=_clock("CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"),
    isolation="SERIALIZABLE",
    has_one_writer=True,
    insert_missing=lambda table: sqlite.insert(table).on_conflict_do_nothing(),
    typed=_sqlite_typed,
    prepare=(
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",  # a commit is on the disk before anybody hears of it
        "PRAGMA secure_delete = ON",  # spent refresh tokens do not stay in free pages
        "PRAGMA busy_timeout = 10000",
    ),
)

DATABASES: Final[Mapping[str, Database]] = {
    "postgresql": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MARIADB,
    "sqlite": _SQLITE,
}
"""By the name of SQLAlchemy's dialect."""


def database_of(dialect: Dialect) -> Database:
    """The database that a dialect is for.

    Raises:
        ValueError: it is none of those that this store knows.
    """
    if getattr(dialect, "is_mariadb", False):
        return _MARIADB
    return known(dialect.name)


def known(name: str) -> Database:
    """The database by the name of its dialect; raises ``ValueError`` for one that is not known."""
    if name not in DATABASES:
        msg = f"{name} is no database that this store knows; those are {', '.join(DATABASES)}"
        raise ValueError(msg)
    return DATABASES[name]
