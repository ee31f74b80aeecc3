"""A look at a database before anybody depends on it: what is wrong shows, and what to do."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from sqlalchemy import make_url
from store_helpers import SCOPE, record

from iop_async import StoreError
from iop_async.protocols import Checkable
from iop_async.stores._sqlalchemy._survey import weaknesses

PASSWORD = "50000601c30canary3mSoB7701"


@pytest.fixture
def postgresql(tables):
    return tables("postgresql")


@pytest.fixture
def mariadb(tables):
    return tables("mariadb")


async def refusal(store):
    with pytest.raises(StoreError) as caught:
        await store.check(SCOPE)
    await store.aclose()
    assert PASSWORD not in str(caught.value)
    return caught.value


def at(database, **parts):
    return database.store(make_url(database.url).set(**parts).render_as_string(hide_password=False))


@pytest.mark.parametrize("isolation", [None, "AUTOCOMMIT", "SERIALIZABLE"])
async def test_a_database_that_can_be_used_is_left_as_it_is(database, isolation):
    """Whatever the engine does by itself with what is not committed."""
    options = {} if isolation is None else {"isolation_level": isolation}
    async with database.engine(**options) as engine:
        store = database.store(engine)
        assert isinstance(store, Checkable)
        kept = await store.put(record())
        before = await database.execute("SELECT * FROM {t}floors")
        await store.check(SCOPE)
        assert [one async for one in store.records(SCOPE)] == [kept]
        assert await database.execute("SELECT * FROM {t}floors") == before
        assert await database.execute("SELECT count(*) FROM {t}records") == [(1,)]


async def test_a_look_tells_what_the_server_is(server):
    """Its version, its clock beside this host's, and that no pooler stands before it."""
    store = server.store()
    report = await store.check()
    await store.aclose()
    name = {"postgresql": "PostgreSQL 15", "mariadb": "MariaDB 10"}[server.name]
    assert report.server.startswith(name)
    assert abs(report.clock_offset) < 30
    assert report.pooler is (False if server.name == "postgresql" else None)
    assert PASSWORD not in report.store


async def test_what_a_database_does_not_make_durable_is_said(postgresql, caplog):
    """A crash would lose pairs that were acknowledged."""
    options = {"server_settings": {"synchronous_commit": "off"}}
    async with postgresql.engine(connect_args=options) as engine:
        (said,) = (await postgresql.store(engine).check()).warnings
    assert "set synchronous_commit = on" in said
    assert said in caplog.text


def test_settings_that_lose_grants_are_told_from_those_that_do_not():
    """Of whatever database."""
    assert weaknesses({}) == []
    assert weaknesses({"fsync": "on", "synchronous_commit": "remote_apply"}) == []
    assert weaknesses({"flush_log": 1, "nodes": 1}) == []
    assert "set fsync = on" in weaknesses({"fsync": "off", "synchronous_commit": "on"})[0]
    assert "set it to 1" in weaknesses({"flush_log": 2})[0]
    assert "write to the same node" in weaknesses({"flush_log": 1, "nodes": 2})[0]


async def test_missing_tables_are_found(without_tables):
    """And made by what the words name."""
    error = await refusal(without_tables.store())
    assert "await create_tables() once" in str(error)
    assert not error.retryable
    await without_tables.create()
    store = without_tables.store()
    await store.check(SCOPE)
    await store.aclose()


@pytest.mark.parametrize("table", ["sellers", "floors", "records", "layout"])
async def test_one_missing_table_is_found(without_tables, table):
    """Each of them is needed to write."""
    await without_tables.create()
    await without_tables.execute(f"DROP TABLE {{t}}{table}")
    error = await refusal(without_tables.store())
    assert "the tables are missing" in str(error)
    assert not error.retryable


async def test_columns_of_another_release_are_found(without_tables):
    """Before the first write needs them."""
    await without_tables.create()
    await without_tables.execute("ALTER TABLE {t}records RENAME COLUMN generation TO round")
    error = await refusal(without_tables.store())
    assert "not those of this release" in str(error)
    assert not error.retryable


async def test_tables_of_a_newer_release_are_found(database):
    """However lately they were looked at."""
    store = database.store()
    await store.check(SCOPE)
    await database.execute("INSERT INTO {t}layout VALUES (99)")
    try:
        assert "the tables are of version 99" in str(await refusal(store))
    finally:
        await database.execute("DELETE FROM {t}layout WHERE version = 99")


async def test_a_server_that_is_down_may_come_up(server):
    """So the same may succeed later."""
    error = await refusal(at(server, port=1))
    assert "none could be made" in str(error)
    assert error.retryable


@asynccontextmanager
async def user(database, *grants):
    """Somebody with these rights and no others; the store that is opened in its name."""
    name = f"user_{uuid4().hex[:8]}"
    is_postgresql = database.name == "postgresql"
    whom = name if is_postgresql else f"{name}@'%'"
    how = "LOGIN PASSWORD" if is_postgresql else "IDENTIFIED BY"
    await database.execute(f"CREATE USER {whom} {how} '{PASSWORD}'")
    try:
        for grant in grants:
            await database.execute(f"GRANT {grant} TO {whom}")
        yield lambda password=PASSWORD: at(database, username=name, password=password)
    finally:
        if is_postgresql:
            await database.execute(f"DROP OWNED BY {whom}")
        await database.execute(f"DROP USER {whom}")


def on_tables(database, rights):
    names = ("records", "sellers", "floors", "layout")
    return [f"{rights} ON {database.prefix}{name}" for name in names]


async def test_a_wrong_password_is_found(mariadb):
    """A person must act, so nobody tries again."""
    async with user(mariadb, *on_tables(mariadb, "SELECT")) as store:
        error = await refusal(store(f"not {PASSWORD}"))
    assert "refuses this user or password" in str(error)
    assert not error.retryable


async def test_a_user_that_is_not_known_is_found(server):
    """Likewise."""
    error = await refusal(at(server, username="nobody_here", password=PASSWORD))
    assert "refuses this user or password" in str(error)
    assert not error.retryable


RIGHTS = ["SELECT", "INSERT", "UPDATE", "DELETE"]


@pytest.mark.parametrize("missing", RIGHTS)
async def test_a_right_that_is_missing_is_found(server, missing):
    """Whichever it is, and named among those that are needed."""
    rights = ", ".join(right for right in RIGHTS if right != missing)
    grants = on_tables(server, rights)
    if server.name == "postgresql":
        grants.append(f"USAGE ON SEQUENCE {server.prefix}records_id_seq")
    async with user(server, *grants) as store:
        error = await refusal(store())
    assert f"{missing}" in str(error)
    assert "the user may not do that" in str(error)
    assert not error.retryable


async def test_rights_on_the_tables_are_all_that_is_needed(postgresql):
    """One on a sequence would be missed on the day of the first new seller."""
    async with user(postgresql, *on_tables(postgresql, ", ".join(RIGHTS))) as store:
        allowed = store()
        await allowed.put(record())
        await allowed.check(SCOPE)
        await allowed.aclose()


async def test_a_database_that_is_read_only_is_found(postgresql):
    """It can be read, but no refresh could be made durable there."""
    options = {"server_settings": {"default_transaction_read_only": "on"}}
    async with postgresql.engine(connect_args=options) as engine:
        error = await refusal(postgresql.store(engine))
    assert "connect to the primary" in str(error)
    assert error.retryable


async def test_a_look_that_waits_for_a_lock_says_so(postgresql):
    """And is over in the time of a transaction."""
    async with postgresql.locked("LOCK TABLE {t}records IN ACCESS EXCLUSIVE MODE"):
        error = await refusal(postgresql.store(timeout=0.2))
    assert "did not answer in time" in str(error)


async def test_many_look_at_once(server):
    """None waits for another's locks for long."""
    stores = [server.store() for _ in range(5)]
    await asyncio.gather(*(store.check(SCOPE) for store in stores for _ in range(3)))
    for store in stores:
        await store.aclose()
