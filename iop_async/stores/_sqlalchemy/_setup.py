"""Making the tables, and refusing those of another version."""

from __future__ import annotations

from sqlalchemy import Connection, Table, inspect
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ._statements import Statements
from ._tables import VERSION, Tables


async def require_version(db: AsyncConnection, say: Statements, where: str) -> None:
    """Raises ``StoreError`` where another release has taken the tables further.

    Tables that a migration made have no version yet; they get this one.
    """
    found = (await db.execute(say.version)).scalar()
    if found is None:
        await db.execute(say.set_version, {"version": VERSION})
    await db.commit()
    if found not in (None, VERSION):
        error = StoreError(
            f"{where}: the tables are of version {found} and this release of iop-async knows "
            f"{VERSION}; nothing was changed. Install the release that made them, or a newer one"
        )
        error.retryable = False
        raise error


async def create_tables(
    db: AsyncConnection, say: Statements, *, tables: Tables, where: str
) -> None:
    """Make the tables and indexes that are missing; who is late finds them made."""
    if await db.run_sync(_has, tables.layout):
        await require_version(db, say, where)
    await db.run_sync(_make, tables)
    await db.commit()
    await require_version(db, say, where)


def _has(connection: Connection, table: Table) -> bool:
    schema = connection.schema_for_object(table)  # an engine may translate it
    return inspect(connection).has_table(table.name, schema=schema)


def _make(connection: Connection, tables: Tables) -> None:
    for table in tables.metadata.sorted_tables:
        table.create(connection, checkfirst=True)
        for index in table.indexes:  # where making them was cut short
            index.create(connection, checkfirst=True)
