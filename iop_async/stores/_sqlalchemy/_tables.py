"""The tables, and the statements that make them.

Within a version, columns may be added that have a default: statements name their columns, so that
two releases work on one database side by side. Whatever an older release could not live with is a
new version, which it refuses.
"""

from __future__ import annotations

import re
from typing import Any, Final

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Column,
    ColumnElement,
    Computed,
    Dialect,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    func,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable, SchemaItem
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from .._contract import DUE_STEP
from ._databases import known

VERSION: Final = 1

NEVER: Final = 2**63 - 1
"""``due_at`` and ``dies_at`` of a record that does not fall due or die: after all others."""

FILL_FACTOR: Final = 80
"""The share of a page of records, in percent, that PostgreSQL fills with new rows."""

_PREFIX: Final = re.compile(r"([a-z][a-z0-9_]{0,29})?", re.ASCII)

_ID: Final = BigInteger().with_variant(Integer, "sqlite")


class _HexLiteral(FunctionElement[bytes]):
    """Digits as a literal of bytes, which costs a server less than ``unhex`` of them."""

    inherit_cache = True


@compiles(_HexLiteral)
def _prefixed(literal: _HexLiteral, compiler: SQLCompiler, **options: Any) -> str:
    return f"x{compiler.process(literal.clauses, **options)}"  # the drivers quote what follows


class _Blob(mysql.LONGBLOB):
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        return _hex

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[bytes]:
        return _HexLiteral(bindvalue)


class _BlobOrNull(mysql.LONGBLOB):
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        return _hex

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[bytes]:
        return func.unhex(bindvalue, type_=self)


class _Binary(mysql.BINARY):
    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002
        return _hex

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[bytes]:
        return _HexLiteral(bindvalue)


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


@frozen
class Types:
    """The types of columns of bytes: as long as they like, or missing, and of a digest."""

    text: TypeEngine[bytes]
    text_or_null: TypeEngine[bytes]
    digest: TypeEngine[bytes]


def _types(text: Any, text_or_null: Any, digest: Any) -> Types:
    mysql_and = ("mysql", "mariadb")
    return Types(
        LargeBinary().with_variant(text, *mysql_and),
        LargeBinary().with_variant(text_or_null, *mysql_and),
        LargeBinary(32).with_variant(digest, *mysql_and),
    )


PLAIN: Final = _types(mysql.LONGBLOB(), mysql.LONGBLOB(), mysql.BINARY(32))
"""For definitions, which migrations repeat."""

SENT: Final = _types(_Blob(), _BlobOrNull(), _Binary(32))
"""For statements. MySQL is sent digits: what its drivers make of bytes depends on their releases
and on modes of the server, and aiomysql cannot send any with PyMySQL 1.2."""


class _DueMinute(ColumnElement[int]):
    inherit_cache = True
    type = BigInteger()


@compiles(_DueMinute)
def _divided(*_: Any, **__: Any) -> str:
    return f"due_at / {DUE_STEP}"


@compiles(_DueMinute, "mysql", "mariadb")
def _divided_by_mysql(*_: Any, **__: Any) -> str:
    return f"due_at DIV {DUE_STEP}"


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


@frozen
class Tables:
    """The tables of one store.

    Attributes:
        records: the records. Times are microseconds since 1970; ``sellers`` repeats, as JSON and
            in order, the rows of the table ``sellers`` that index_sellers here.
        sellers: which record each seller finds.
        revision_floors: the highest revision of any record of a scope that is gone. A new one
            begins above it, so that nobody who still holds the old one can overwrite the new. Its
            row is also the row lock of writers that change which record a seller finds.
        layout: the version of the tables.
        of_scope: the index of records by scope and id.
        by_due: the one by when they fall due.
        by_minute: the one by the minute of that, and in it by expiry.
    """

    metadata: MetaData
    records: Table
    sellers: Table
    revision_floors: Table
    layout: Table
    of_scope: str
    by_due: str
    by_minute: str


def make_tables(prefix: str, types: Types = PLAIN) -> Tables:
    """The tables whose names begin with ``prefix``.

    Raises:
        ValueError: ``prefix`` is not made of small letters, digits and underscores, or too long.
    """
    if not _PREFIX.fullmatch(prefix):
        msg = (
            f"{prefix!r} cannot begin the names of tables: it takes a small letter first, then "
            "small letters, digits and underscores, 30 in all"
        )
        raise ValueError(msg)
    metadata = MetaData()
    digest = types.digest
    return Tables(
        metadata,
        _records(f"{prefix}records", metadata, types),
        _table(
            f"{prefix}sellers",
            metadata,
            Column("seller_key", digest, primary_key=True),
            _number("record_id"),
        ),
        _table(
            f"{prefix}floors",
            metadata,
            Column("scope_key", digest, primary_key=True),
            _number("revision"),
        ),
        _table(
            f"{prefix}layout",
            metadata,
            Column("version", Integer, primary_key=True, autoincrement=False),
        ),
        f"{prefix}records_of_scope",
        f"{prefix}records_by_due",
        f"{prefix}records_by_minute",
    )


def _records(name: str, metadata: MetaData, types: Types) -> Table:
    # Names are kept as the bytes of UTF-8 and found by their digests: no collation folds or pads
    # them, no character set loses any, and no index is too narrow for the longest.
    return _table(
        name,
        metadata,
        # no sequence of its own, on which roles would need a grant besides those on the tables
        Column("id", _ID, Identity(), primary_key=True),
        Column("scope_key", types.digest, nullable=False),
        Column("seller_key", types.digest, nullable=False),
        Column("scope", types.text, nullable=False),
        Column("seller", types.text, nullable=False),
        Column("sellers", types.text, nullable=False),
        _number("due_at"),
        _number("dies_at"),
        _number("generation"),
        _number("revision"),
        Column("lease_holder", types.text_or_null),
        _number("lease_until"),
        Column("body", types.text, nullable=False, quote=True),  # reserved in MariaDB's ORACLE mode
        Column("due_minute", BigInteger, Computed(_DueMinute(), persisted=True)),
        Index(f"{name}_by_seller", "seller_key", unique=True),
        Index(f"{name}_of_scope", "scope_key", "id"),
        # no column that a lease changes: PostgreSQL writes such a row anew beside the old one, and
        # into no index, while its page has room
        Index(f"{name}_by_due", "scope_key", "due_at"),
        Index(f"{name}_by_minute", "scope_key", "due_minute", "dies_at"),
        Index(f"{name}_by_death", "scope_key", "dies_at"),  # for version 0.1, which names it
        postgresql_with={"fillfactor": FILL_FACTOR},
    )


def _table(name: str, metadata: MetaData, *items: SchemaItem, **options: Any) -> Table:
    # the other engines of MySQL have no transactions
    options |= {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"}
    return Table(name, metadata, *items, **options)


def _dialect(name: str) -> Dialect:
    modules = {"postgresql": postgresql, "sqlite": sqlite}
    return modules.get(name, mysql).dialect()  # type: ignore[no-any-return]


def ddl(name: str, prefix: str) -> str:
    """The statements that make the tables, for a database by the name of its dialect."""
    known(name)
    dialect = _dialect(name)
    tables = make_tables(prefix)
    statements: list[str] = []
    for table in tables.metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=dialect)))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    statements.append(f"INSERT INTO {tables.layout.name} (version) VALUES ({VERSION})")  # noqa: S608
    lines = (line.rstrip() for text in statements for line in f"{text.strip()};".splitlines())
    return "\n".join(lines) + "\n"
