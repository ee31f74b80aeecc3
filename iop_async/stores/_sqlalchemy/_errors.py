"""Errors of drivers and of SQLAlchemy become ours here, and nowhere else.

Their words are never repeated, nor are they kept as causes: they quote statements, parameters and
rows, which hold tokens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import Enum, unique
from typing import Final

from attrs import frozen
from sqlalchemy import exc as sa

from ..._exceptions import StoreError


class Overtaken(Exception):
    """Somebody changed what this transaction has read, and whom no lock of it held up."""


@unique
class Remedy(Enum):
    """What may help against a failure; the values are how often that is tried."""

    NONE = 0
    RECONNECT = 3
    RETRY = 30
    RETRY_ONCE = 1


@frozen
class DatabaseFailure:
    """A kind of failure: its words, without secrets, and what to do about it."""

    words: str
    remedy: Remedy = Remedy.NONE
    is_passing: bool = True

    def error(self, where: str, code: str) -> StoreError:
        """The error to raise for it."""
        error = StoreError(f"{where}: {self.words} ({code})")
        error.retryable = self.is_passing
        return error


_DEADLOCK: Final = DatabaseFailure(
    "other transactions were in the way again and again, so nothing was changed; try again later",
    Remedy.RETRY,
)
_MEANWHILE: Final = DatabaseFailure(
    "others made the same at the same time again and again; try again later", Remedy.RETRY
)
_LOCKED: Final = DatabaseFailure(
    "a lock was not to be had in time, so nothing was changed. Look for a transaction that hangs",
    Remedy.RETRY_ONCE,
)
_LOST: Final = DatabaseFailure(
    "the connection broke, or none could be made, and trying again did not help. Look whether the "
    "database runs and can be reached",
    Remedy.RECONNECT,
)
_SILENT: Final = DatabaseFailure(
    "the database did not answer in time; whether the last statement was done is not known. Look "
    "whether it hangs or can be reached, or give the store a longer timeout; a pooler may have no "
    "connection free: give it more, or the stores a smaller pool_size",
    Remedy.RETRY_ONCE,
)
_LOGIN: Final = DatabaseFailure(
    "the database refuses this user or password; correct the URL, or grant the user access",
    is_passing=False,
)
_OPTION: Final = DatabaseFailure(
    "the driver does not know an option of the URL; its own are those of its connect(), for "
    "example asyncpg's ssl=require, which others call sslmode",
    is_passing=False,
)
_NO_DATABASE: Final = DatabaseFailure(
    "there is no such database on the server; create it, or correct the URL", is_passing=False
)
_NO_TABLES: Final = DatabaseFailure(
    "the tables are missing: await create_tables() once, or `iop-async store init`, or run the "
    "statements that SQLAlchemyStore.ddl() returns",
    is_passing=False,
)
_OTHER_TABLES: Final = DatabaseFailure(
    "the tables are not those of this release: compare them with the statements that "
    "SQLAlchemyStore.ddl() returns",
    is_passing=False,
)
_FORBIDDEN: Final = DatabaseFailure(
    "the user may not do that: grant it SELECT, INSERT, UPDATE and DELETE on the tables, in "
    "PostgreSQL also USAGE on their schema, and CREATE there for create_tables()",
    is_passing=False,
)
_POOLED: Final = DatabaseFailure(
    "a prepared statement is not there, or is another's: the connection goes through a pooler such "
    "as PgBouncer, and the engine must name no statements: make it with connect_args="
    "{'statement_cache_size': 0} for asyncpg, {'prepare_threshold': None} for psycopg",
    Remedy.RECONNECT,  # a new connection is looked at
    is_passing=False,
)
_NO_MAJORITY: Final = DatabaseFailure(
    "this node of the cluster has lost the majority, so it takes no statements and nothing was "
    "changed. Look for nodes and networks that are down, or connect to a node of the majority",
    Remedy.RECONNECT,  # a pool's own ping finds nothing wrong with such a connection
)
_FULL: Final = DatabaseFailure("the database has no room left, so nothing was changed; make room")
_READ_ONLY: Final = DatabaseFailure(
    "the database is read-only, so nothing was changed: a replica, or one that is being moved; "
    "connect to the primary",
    Remedy.RECONNECT,
)
_CROWDED: Final = DatabaseFailure(
    "the server takes no more connections; make pools smaller, or it larger"
)
_STOPPED: Final = DatabaseFailure(
    "the statement took longer than the database allows, or was stopped"
)
TOO_LARGE: Final = DatabaseFailure("the record is too large; it was not written", is_passing=False)
_POOL: Final = DatabaseFailure(
    "no connection of the pool became free in time; make the pool larger, or look for what keeps "
    "its connections"
)
_FOREIGN_LOOP: Final = DatabaseFailure(
    "the engine, or one of its connections, belongs to another event loop; dispose of the engine "
    "before another event loop uses it",
    is_passing=False,
)
_UNKNOWN: Final = DatabaseFailure("the database failed, and the transaction was undone")

_FAILURES: Final[Mapping[DatabaseFailure, str]] = {
    _DEADLOCK: "40001 40P01 1213 1020 SQLITE_BUSY SQLITE_LOCKED",
    _MEANWHILE: "42P07 42701 42710 42704 23505 1050 1060 1061 1062 1091 Overtaken",
    _LOCKED: "55P03 1205",
    _LOST: "25P03 57P01 57P02 57P03 57P05 1053 1079 1152 1927 2002 2003 2006 2013 2014 2055 4031",
    _LOGIN: "28000 28P01 1044 1045 1130 1698 3118",
    _NO_DATABASE: "3D000 1049",
    _NO_TABLES: "42P01 3F000 1146",
    _OTHER_TABLES: "42703 42804 1054 1364",
    _FORBIDDEN: "42501 1142 1143 1227 1370",
    _POOLED: "26000 42P05",
    _NO_MAJORITY: "1047",
    _FULL: "53100 1021 1114 SQLITE_FULL",
    _READ_ONLY: "25006 1290 1792 1836 SQLITE_READONLY",
    _CROWDED: "53300 1040 1203 1226",
    _STOPPED: "57014 1317 1969 3024",
    TOO_LARGE: "54000 1153 1301 SQLITE_TOOBIG",
}
_BY_CODE: Final = {code: failure for failure, codes in _FAILURES.items() for code in codes.split()}


# where a driver has no code of its own for it
_BY_WORDS: Final = {
    "already exists": _MEANWHILE,
    "duplicate column": _MEANWHILE,
    "no such index": _MEANWHILE,
    "no such table": _NO_TABLES,
    "no such column": _OTHER_TABLES,
    "has no column": _OTHER_TABLES,
    "different loop": _FOREIGN_LOOP,
    "Event loop is closed": _FOREIGN_LOOP,
    "connection was closed": _LOST,
    "connection is closed": _LOST,
    "Lost connection": _LOST,
    "unexpected keyword argument": _OPTION,
}


_UNDONE: Final = frozenset({"40001", "40P01", "1213"})
"""Codes of a transaction that was rolled back as a whole, also where its COMMIT brings them. A node
of Galera says so at the next statement of the loser, whichever it is (observed, MariaDB 10.11)."""


def lacks_column(exc: Exception) -> bool:
    """Whether a statement failed because a column that it names is not there."""
    return classify(exc)[0] is _OTHER_TABLES


def lacks_tables(exc: Exception) -> bool:
    """Whether a statement failed because there are no tables yet."""
    return classify(exc)[0] is _NO_TABLES


UNREACHABLE: Final = frozenset({_SILENT, _POOL})
"""Failures that took all of the time there was, and that others would meet as well."""


def is_undone(exc: BaseException) -> bool:
    """Whether a transaction whose COMMIT failed has surely changed nothing."""
    return isinstance(exc, Exception) and classify(exc)[1] in _UNDONE


def classify(exc: Exception) -> tuple[DatabaseFailure, str]:
    """The kind of a failure, and the database's own code for it."""
    if isinstance(exc, sa.TimeoutError):
        return _POOL, "pool timeout"
    if isinstance(exc, TimeoutError):
        return _SILENT, type(exc).__name__
    orig = exc.orig if isinstance(exc, sa.DBAPIError) and exc.orig is not None else exc
    code = _code_of(orig)
    failure = _BY_CODE.get(code)
    if failure is None:
        text = str(orig)
        failure = next((found for words, found in _BY_WORDS.items() if words in text), None)
    if failure is None:
        is_broken = isinstance(exc, sa.DBAPIError) and exc.connection_invalidated
        is_lost = is_broken or code.startswith("08") or isinstance(orig, OSError)
        failure = _LOST if is_lost else _UNKNOWN
    return failure, code


def _code_of(exc: BaseException) -> str:
    """The database's own code, or else the kind of the error."""
    if exc.args and isinstance(exc.args[0], int):
        return str(exc.args[0])  # MySQL's own numbers tell more than its SQLSTATEs
    if isinstance(exc, sqlite3.Error):
        name: str = getattr(exc, "sqlite_errorname", type(exc).__name__)
        return "_".join(name.split("_")[:2])  # without the details of an extended code
    state = getattr(exc, "sqlstate", None)
    return state if isinstance(state, str) else type(exc).__name__
