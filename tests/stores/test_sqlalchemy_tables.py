"""The tables: made once, by whom one likes, and never those of another release."""

import asyncio
import re

import pytest
from sql_helpers import Database
from sqlalchemy import MetaData, inspect, text
from store_helpers import SCOPE, record

from iop_async import StoreError
from iop_async.stores._sqlalchemy import SQLAlchemyStore


async def layout(database):
    """Tables, columns, keys and indexes, as the database describes them."""

    def describe(connection):
        look = inspect(connection)
        found = {}
        for name in sorted(look.get_table_names()):
            if name.startswith(database.prefix):
                found[name.removeprefix(database.prefix)] = (
                    [(c["name"], str(c["type"]), c["nullable"]) for c in look.get_columns(name)],
                    look.get_pk_constraint(name)["constrained_columns"],
                    sorted(
                        (
                            i["name"].removeprefix(database.prefix),
                            i["column_names"],
                            bool(i["unique"]),
                        )
                        for i in look.get_indexes(name)
                    ),
                )
        return found

    async with database.engine() as engine, engine.connect() as db:
        return await db.run_sync(describe)


async def works(store):
    written = await store.put(record())
    assert await store.get(SCOPE, "1001") == written


async def test_missing_tables_are_a_store_error_that_says_what_to_do(without_tables):
    """By whichever method comes first; and nothing is made in secret."""
    store = without_tables.store()
    for attempt in (store.get(SCOPE, "1"), store.put(record()), store.__aenter__()):
        with pytest.raises(StoreError, match=r"create_tables\(\) once, or .*run .*ddl") as caught:
            await attempt
        assert not caught.value.retryable
    assert await layout(without_tables) == {}


async def test_tables_are_made_once(without_tables):
    """Making them again changes nothing in them."""
    async with without_tables.engine() as engine:
        store = without_tables.store(engine)
        await store.create_tables()
        before = await layout(without_tables)
        await works(store)
        await store.create_tables()
        assert await layout(without_tables) == before
        assert await store.get(SCOPE, "1001") is not None
        assert await without_tables.execute("SELECT version FROM {t}layout") == [(1,)]


async def test_many_hosts_make_them_at_once(without_tables):
    """None of them fails, and all of them can go on."""
    hosts = [without_tables.store() for _ in range(8)]
    await asyncio.gather(*(host.create_tables() for host in hosts))
    for n, host in enumerate(hosts):
        await host.put(record(f"{n}"))
        await host.aclose()
    assert await without_tables.execute("SELECT version FROM {t}layout") == [(1,)]


@pytest.fixture
def mariadb(tables):
    return tables("mariadb")


async def test_asyncmy_makes_no_noise_where_hosts_begin_at_once(mariadb, caplog):
    """It logs what a server warns of: that a row is there already, say."""
    url = mariadb.url.replace("aiomysql", "asyncmy")
    hosts = [mariadb.store(url) for _ in range(4)]
    await asyncio.gather(*(host.create_tables() for host in hosts))
    await asyncio.gather(*(host.put(record(f"{n}")) for n, host in enumerate(hosts)))
    for host in hosts:
        await host.aclose()
    assert not [one.getMessage() for one in caplog.records if "asyncmy" in one.name]


async def test_what_is_missing_is_made(without_tables):
    """MySQL has no transaction around that, so a host may have died in between."""
    await without_tables.create()
    whole = await layout(without_tables)
    on = " ON {t}records" if without_tables.name == "mariadb" else ""
    await without_tables.execute("DROP INDEX {t}records_by_death" + on, "DROP TABLE {t}floors")
    assert await layout(without_tables) != whole
    await without_tables.create()
    assert await layout(without_tables) == whole


async def test_the_printed_statements_make_the_same_tables(without_tables):
    """For users whose migrations are written by hand."""
    await without_tables.create()
    expected = await layout(without_tables)
    await without_tables.drop()
    printed = SQLAlchemyStore.ddl(without_tables.name, table_prefix=without_tables.prefix)
    await without_tables.execute(*printed.split(";\n")[:-1])
    assert await layout(without_tables) == expected
    store = without_tables.store()
    await works(store)
    await store.aclose()


async def test_migrations_can_be_generated(without_tables):
    """From the metadata; the version is written by whoever comes first."""
    store = without_tables.store()
    async with without_tables.engine() as engine, engine.begin() as db:
        await db.run_sync(store.metadata.create_all)
    made = await layout(without_tables)
    await works(store)
    assert await without_tables.execute("SELECT version FROM {t}layout") == [(1,)]
    await store.aclose()
    await without_tables.drop()
    await without_tables.create()
    assert await layout(without_tables) == made


def test_migrations_name_no_type_of_this_library():
    """They would have to import what is private."""
    store = SQLAlchemyStore("sqlite://")
    assert isinstance(store.metadata, MetaData)
    for table in store.metadata.tables.values():
        for column in table.columns:
            types = [column.type, *column.type._variant_mapping.values()]
            assert all(type(one).__module__.startswith("sqlalchemy.") for one in types)


async def test_tables_of_a_newer_release_are_refused(database):
    """And left as they are."""
    async with database.store() as store:
        kept = await store.put(record())
    await database.execute("UPDATE {t}layout SET version = 2")
    try:
        late = database.store()
        for attempt in (
            late.get(SCOPE, "1001"),
            late.put(record("2")),
            late.remove(SCOPE, "1001"),
            late.create_tables(),
        ):
            with pytest.raises(StoreError, match=r"are of version 2 and this release .* knows 1"):
                await attempt
        await late.aclose()
    finally:
        await database.execute("UPDATE {t}layout SET version = 1")
    async with database.store() as store:
        assert [one async for one in store.records(SCOPE)] == [kept]


async def test_a_store_at_work_notices_a_newer_release(database, monkeypatch):
    """Within a minute."""
    monkeypatch.setattr("iop_async.stores._sqlalchemy._transactions._VERSION_MAX_AGE", 0)
    async with database.store() as store:
        await works(store)
        await database.execute("UPDATE {t}layout SET version = 2")
        try:
            with pytest.raises(StoreError, match="version 2"):
                await store.put(record("2"))
        finally:
            await database.execute("UPDATE {t}layout SET version = 1")
        await store.put(record("2"))


async def test_other_columns_are_a_store_error(without_tables):
    """A migration that was forgotten, or the table of somebody else."""
    await without_tables.create()
    await without_tables.execute("ALTER TABLE {t}records RENAME COLUMN generation TO g")
    store = without_tables.store()
    with pytest.raises(StoreError, match="not those of this release"):
        await store.get(SCOPE, "1001")
    await store.aclose()


async def test_two_prefixes_are_two_stores(database):
    """In one database."""
    other = Database(database.kind, database.url)
    await other.create()
    here, there = database.store(), other.store()
    try:
        await here.put(record())
        assert await there.get(SCOPE, "1001") is None
    finally:
        await here.aclose()
        await there.aclose()
        await other.drop()


async def test_two_schemas_are_two_stores(server):
    """An engine may put the tables of a tenant elsewhere."""
    schema = f"{server.prefix}tenant"
    await server.execute(f"CREATE SCHEMA {schema}")
    try:
        async with server.engine(
            execution_options={"schema_translate_map": {None: schema}}
        ) as engine:
            there = server.store(engine)
            for _ in range(2):
                await there.create_tables()
            await works(there)
        async with server.store() as here:
            assert await here.get(SCOPE, "1001") is None
    finally:
        cascade = " CASCADE" if server.name == "postgresql" else ""
        await server.execute(f"DROP SCHEMA {schema}{cascade}")


@pytest.mark.parametrize("prefix", ["a-b", 'x"', "x; DROP TABLE y", "1", "A", "é", "x" * 31])
def test_a_prefix_that_would_need_quotes_is_refused(prefix):
    """Names of indexes have to fit as well."""
    with pytest.raises(ValueError, match="cannot begin the names of tables"):
        SQLAlchemyStore("sqlite://", table_prefix=prefix)


def test_statements_are_printed_for_known_databases():
    """Each by its name; MySQL's tables have transactions."""
    for name in ("mysql", "mariadb"):
        printed = SQLAlchemyStore.ddl(name)
        assert len(re.findall("ENGINE=InnoDB", printed)) == 4
    with pytest.raises(ValueError, match="oracle is no database that this store knows"):
        SQLAlchemyStore.ddl("oracle")


async def test_rows_can_be_read_by_people(database):
    """Names are found in the tables as they are, in UTF-8."""
    async with database.store() as store:
        await store.put(record("店铺", "T1"))
    async with database.engine() as engine, engine.connect() as db:
        rows = await db.execute(
            text(f"SELECT scope, seller, sellers FROM {database.prefix}records")
        )
        (row,) = [tuple(bytes(value).decode() for value in row) for row in rows]
    assert row == (SCOPE, "店铺", '["店铺", "T1"]')
