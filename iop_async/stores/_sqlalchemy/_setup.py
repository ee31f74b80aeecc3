"""Making the tables, refusing those of another version, and trying whether they can be used."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Connection, Table, inspect
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ..._records import Record
from . import _leases, _writes
from ._sql import Sql
from ._tables import VERSION, Tables


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
    """Make the tables and indexes that are missing; of several hosts, one makes each."""
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
        for index in table.indexes:  # where making them was cut short
            index.create(connection, checkfirst=True)


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
