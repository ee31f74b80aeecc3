"""What differs between the databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from attrs import frozen
from sqlalchemy import BigInteger, ColumnElement, Dialect, Insert, Table, insert, literal_column
from sqlalchemy.dialects import postgresql, sqlite


@frozen(kw_only=True)
class Database:
    """One kind of database.

    Attributes:
        driver: what SQLAlchemy is to use where a URL names no driver.
        clock: the database's time in microseconds since 1970, whatever the session's time zone.
        isolation: what the transactions of writes need: others' commits are seen at once, and no
            gap between rows is locked.
        skips_locked_since: the version that can pass by rows that others have locked.
        has_one_writer: transactions that write wait for each other anyway, and better in a queue
            of ours than by asking again and again.
        insert_missing: an insert that leaves a row alone that is there already.
        prepare: statements for a new connection of ours; ``{seconds}`` is how long a transaction
            may stand still. A host that is gone without a word would hold its locks for hours.
    """

    name: str
    driver: str
    clock: ColumnElement[int]
    isolation: str = "READ COMMITTED"
    skips_locked_since: tuple[int, ...] | None = None
    has_one_writer: bool = False
    insert_missing: Callable[[Table], Insert]
    prepare: tuple[str, ...]

    def skips_locked(self, dialect: Dialect) -> bool:
        """Whether the server that ``dialect`` has connected to can pass by locked rows."""
        version: Any = getattr(dialect, "server_version_info", None)
        since = self.skips_locked_since
        return since is not None and version is not None and tuple(version) >= since


def _clock(expression: str) -> ColumnElement[int]:
    return literal_column(expression, BigInteger)


_MYSQL_CLOCK: Final = _clock("TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))")

_MYSQL_PREPARE: Final = (
    # what is a comment for MySQL, which has no such variable, is none for MariaDB
    "SET SESSION wait_timeout = @@wait_timeout /*M!100301, idle_transaction_timeout = {seconds} */",
)


def _insert_ignore(table: Table) -> Insert:
    return insert(table).prefix_with("IGNORE")


_POSTGRESQL: Final = Database(
    name="PostgreSQL",
    driver="postgresql+asyncpg",
    clock=_clock("CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"),
    skips_locked_since=(9, 5),
    insert_missing=lambda table: postgresql.insert(table).on_conflict_do_nothing(),
    prepare=("SET idle_in_transaction_session_timeout = '{seconds}s'",),
)
_MYSQL: Final = Database(
    name="MySQL",
    driver="mysql+aiomysql",
    clock=_MYSQL_CLOCK,
    skips_locked_since=(8, 0, 1),
    insert_missing=_insert_ignore,
    prepare=_MYSQL_PREPARE,
)
_MARIADB: Final = Database(
    name="MariaDB",
    driver="mariadb+aiomysql",
    clock=_MYSQL_CLOCK,
    skips_locked_since=(10, 6),
    insert_missing=_insert_ignore,
    prepare=_MYSQL_PREPARE,
)
_SQLITE: Final = Database(
    name="SQLite",
    driver="sqlite+aiosqlite",
    clock=_clock("CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"),
    isolation="SERIALIZABLE",
    has_one_writer=True,
    insert_missing=lambda table: sqlite.insert(table).on_conflict_do_nothing(),
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
