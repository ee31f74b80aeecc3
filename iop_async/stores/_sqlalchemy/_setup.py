"""Making the tables, refusing those of another version, and trying whether they can be used."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Connection, Index, Table, inspect, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateColumn

from ..._exceptions import StoreError
from ..._records import Record
from . import _leases, _writes
from ._errors import lacks_column, lacks_tables
from ._sql import Sql
from ._tables import FILL_FACTOR, VERSION, Tables


async def require_version(db: AsyncConnection, sql: Sql, where: str) -> None:
    """Raises ``StoreError`` where another release has taken the tables further.

    Tables that a migration made have no version yet; they get this one.
    """
    found = (await db.execute(sql.version)).scalar()
    if found is None:
        await db.execute(sql.set_version, {"version": VERSION})
    await db.commit()
    if found not in (None, VERSION):
        error = StoreError(
            f"{where}: the tables are of version {found} and this release of iop-async knows "
            f"{VERSION}; nothing was changed. Install the release that made them, or a newer one"
        )
        error.retryable = False
        raise error


async def create_tables(db: AsyncConnection, sql: Sql, *, tables: Tables, where: str) -> None:
    """Make tables and indexes that are missing or of an older release; one of the hosts does."""
    if await db.run_sync(_has, tables.layout):
        await require_version(db, sql, where)
    await db.run_sync(_make, tables)
    await db.commit()
    await require_version(db, sql, where)


def _has(connection: Connection, table: Table) -> bool:
    schema = connection.schema_for_object(table)  # an engine may translate it
    return inspect(connection).has_table(table.name, schema=schema)


def _make(connection: Connection, tables: Tables) -> None:
    for table in tables.metadata.sorted_tables:
        table.create(connection, checkfirst=True)
        _bring_up_to_date(connection, table)


async def has_minutes(db: AsyncConnection, tables: Tables) -> bool:
    """Whether the tables are no longer as version 0.1 made them; also where there are none yet."""
    records = tables.records.c
    try:
        await db.execute(select(records.due_minute).where(records.id == 0))
    except DBAPIError as exc:
        if not lacks_column(exc) and not lacks_tables(exc):
            raise
        return not lacks_column(exc)
    finally:
        await db.rollback()
    return True


def _add_columns(connection: Connection, table: Table) -> None:
    look, schema = inspect(connection), connection.schema_for_object(table)
    found = {one["name"] for one in look.get_columns(table.name, schema)}
    for column in table.columns:
        if column.name not in found:
            definition = str(CreateColumn(column).compile(dialect=connection.dialect))
            if connection.dialect.name != "postgresql":  # the others need not write each row anew
                definition = definition.replace(" STORED", " VIRTUAL")
            _alter(connection, table, f"ADD COLUMN {definition}")


def _bring_up_to_date(connection: Connection, table: Table) -> None:
    _add_columns(connection, table)
    look, schema = inspect(connection), connection.schema_for_object(table)
    found = {one["name"]: one["column_names"] for one in look.get_indexes(table.name, schema)}
    for index in table.indexes:
        columns = found.get(index.name)
        if columns is None:  # making them was cut short
            index.create(connection, checkfirst=True)
        elif columns != [column.name for column in index.columns]:
            _replace(connection, table, index)
    if connection.dialect.name == "postgresql" and table.dialect_options["postgresql"]["with"]:
        options = look.get_table_options(table.name, schema)
        if "fillfactor" not in options.get("postgresql_with", {}):  # else somebody has chosen it
            _alter(connection, table, f"SET (fillfactor = {FILL_FACTOR})")


def _replace(connection: Connection, table: Table, index: Index) -> None:
    if connection.dialect.name in ("mysql", "mariadb"):
        # at once, because statements of others name it
        columns = ", ".join(column.name for column in index.columns)
        _alter(connection, table, f"DROP INDEX {index.name}, ADD INDEX {index.name} ({columns})")
    else:
        index.drop(connection)
        index.create(connection)


def _alter(connection: Connection, table: Table, change: str) -> None:
    name = connection.dialect.identifier_preparer.format_table(table, use_schema=False)
    if schema := connection.schema_for_object(table):  # an engine may translate it
        name = f"{connection.dialect.identifier_preparer.quote_schema(schema)}.{name}"
    connection.exec_driver_sql(f"ALTER TABLE {name} {change}")


async def try_all(db: AsyncConnection, sql: Sql) -> None:
    """Write, read, lease and remove a record, for a transaction that is rolled back.

    Nothing less finds a right that is missing, on a sequence too, or a replica that is read-only.
    """
    name = uuid4().hex  # a scope of its own, so that nobody waits for its locks
    record = Record(scope=name, seller_id=name, seller_ids=(name,), body=b"")
    await _writes.put(db, sql, record, None, again=False)
    await _writes.replace(db, sql, record, None)
    await _leases.lease(db, sql, name, name, name, 1)
    await _writes.remove(db, sql, name, name)
