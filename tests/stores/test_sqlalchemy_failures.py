"""What goes wrong with a database is borne, or told; and what was acknowledged is there."""

import asyncio
import logging
import traceback
from time import monotonic

import pytest
import sqlalchemy as sa
from attrs import evolve
from network import Network
from sql_helpers import Proxy, connections_of, kill
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection
from store_helpers import SCOPE, count_up, record

from iop_async import StoreError
from iop_async.stores._sqlalchemy import SQLAlchemyStore, _transactions
from iop_async.stores._sqlalchemy._errors import Remedy, classify

SECRET = "hunter2"


@pytest.fixture
def postgresql(tables):
    return tables("postgresql")


def with_url(database, /, **parts):
    url = make_url(database.url).set(**parts).render_as_string(hide_password=False)
    return database.store(url)


@pytest.mark.parametrize(
    ("parts", "words", "is_passing"),
    [
        ({"username": "nobody-here", "password": SECRET}, "refuses this user or password", False),
        ({"database": "nothing_here"}, "no such database", False),
        ({"port": 1, "password": SECRET}, "none could be made", True),
    ],
    ids=["user", "database", "port"],
)
async def test_a_database_that_lets_nobody_in_is_a_store_error(
    server, parts, words, is_passing
):  # fmt: skip
    """Which says why, and keeps the password to itself."""
    store = with_url(server, **parts)
    with pytest.raises(StoreError, match=words) as caught:
        await store.get(SCOPE, "1001")
    assert caught.value.retryable is is_passing
    assert SECRET not in everything_about(caught.value) + repr(store)
    await store.aclose()


async def test_a_host_that_is_gone_without_a_word_keeps_no_record_locked(server):
    """Its connection stands, amid a transaction, and nothing comes from there any more."""
    gone = SQLAlchemyStore(server.url, table_prefix=server.prefix, timeout=1)
    store = server.store()
    kept = await store.put(record())
    await on_its_connection(gone)
    async with gone._engine.pool.connect() as db:
        await gone._engine.begin(db)
        await db.execute(text(f"UPDATE {server.prefix}records SET revision = revision"))
        assert (await store.put(kept)).revision == kept.revision + 1
        await db.invalidate()
    await gone.aclose()
    await store.aclose()


async def test_an_option_that_the_driver_does_not_know_is_told(server):
    """Those of other drivers are not its own; nobody tries again."""
    async with server.engine(connect_args={"no_such_option": SECRET}) as engine:
        with pytest.raises(StoreError, match="does not know an option") as caught:
            await server.store(engine).get(SCOPE, "1001")
    assert not caught.value.retryable
    assert SECRET not in everything_about(caught.value)


def everything_about(error):
    """All that a crash reporter finds: the words, the causes, our frames and their locals."""
    frames = error.__traceback__.tb_next
    shown = traceback.TracebackException(type(error), error, frames, capture_locals=True)
    return "".join(shown.format()) + repr(error)


async def test_a_failing_statement_shows_no_body(database):
    """Neither its text, nor its parameters, nor what the database said of them."""
    async with database.store() as store:
        kept = await store.put(record(body=SECRET.encode()))
        await database.execute("ALTER TABLE {t}records RENAME COLUMN body TO b")
        try:
            for attempt in (
                store.put(evolve(kept, body=f"{SECRET}!".encode())),
                store.put(record("2", body=SECRET.encode())),
                store.get(SCOPE, "1001"),
            ):
                with pytest.raises(StoreError, match="not those of this release") as caught:
                    await attempt
                about = everything_about(caught.value)
                for trace in (SECRET, SECRET.encode().hex(), "UPDATE", "SELECT", "INSERT"):
                    assert trace not in about
                assert caught.value.__cause__ is caught.value.__context__ is None
        finally:
            await database.execute("ALTER TABLE {t}records RENAME COLUMN b TO body")
        assert await store.get(SCOPE, "1001") == kept


async def test_sqlalchemy_logs_no_body(database, caplog):
    """Not even where the application has it log every statement."""
    with caplog.at_level(logging.INFO, logger="sqlalchemy.engine"):
        async with database.store() as store:
            kept = await store.put(record(body=SECRET.encode()))
            await store.put(evolve(kept, body=b"x" + SECRET.encode()))
    logged = [one.getMessage() for one in caplog.records if one.name.startswith("sqlalchemy")]
    assert any("UPDATE" in line for line in logged)
    assert not any(SECRET in line or SECRET.encode().hex() in line for line in logged)


async def test_connections_that_died_in_the_pool_go_unnoticed(server):
    """The server was started again, or something in between dropped what was idle."""
    async with Proxy(server.url) as proxy:
        for engine_of_the_user in (False, True):
            store = server.store(proxy.url)
            await asyncio.gather(
                *(store.put(record(f"{n} {engine_of_the_user}")) for n in range(9))
            )
            proxy.cut()
            await asyncio.gather(
                *(store.put(record(f"{n} {engine_of_the_user} b")) for n in range(9))
            )
            proxy.cut()
            assert len([one async for one in store.records(SCOPE)]) == 18 * (1 + engine_of_the_user)
            await store.aclose()


async def test_killed_connections_lose_nothing(server):
    """In the middle of whatever they do; those who ask notice nothing."""
    async with server.engine(pool_size=5) as engine:
        ids = connections_of(engine, server)
        store = server.store(engine)
        done = []
        workers = asyncio.gather(*(count_up(store, f"{n}", 30, done.append) for n in range(8)))
        kills = 0
        while not workers.done():
            await asyncio.sleep(0.1)
            if len(done) < 8:  # each must have a chance between two kills
                continue
            done.clear()
            victims, ids[:] = list(ids), []
            kills += len(victims)
            await kill(server, victims)
        await workers
        assert kills
        assert {one.generation async for one in store.records(SCOPE)} == {31}
        assert {one.revision async for one in store.records(SCOPE)} == {31}
        await store.aclose()


async def test_a_lost_acknowledgement_is_made_good(server):
    """The commit arrived, its answer did not: every write is made once, and its caller told so.

    A statement outside of a transaction is its own commit: it breaks off where its values are sent.
    """
    async with Proxy(server.url) as proxy:
        store = server.store(proxy.url)
        await on_its_connection(store)

        async def cut_off(attempt, marker="COMMIT"):
            proxy.cut_at(marker)
            before = proxy.cuts
            result = await attempt
            assert proxy.cuts == before + 1
            return result

        first = await cut_off(store.put(record("1001", "1002")))
        assert first.revision == 1
        second = await cut_off(store.put(evolve(first, body=b"second"), release="a"), "second")
        assert second.revision == 2
        third = await cut_off(store.put(evolve(second, seller_ids=("1001", "1003"))))
        assert third.revision == 3
        lease = store.lease(SCOPE, "1003", holder="somebody", seconds=60)
        assert await cut_off(lease, "somebody") == third
        assert await store.get(SCOPE, "1001") == third
        assert await store.get(SCOPE, "1002") is None
        assert await cut_off(store.remove(SCOPE, "1001")) is True
        assert await store.remove(SCOPE, "1001") is False
        await store.aclose()


async def on_its_connection(store):
    """The first one of an engine of its own is used once; what is cut comes after that."""
    await store.next_due(SCOPE)
    await store.next_due(SCOPE)


async def with_something_between(proxy, attempt, marker="COMMIT", *, between):
    """Break at the marker, and have ``between`` done before the second try."""
    proxy.cut_at(marker)
    async with proxy.closed_after_cut():
        before = proxy.cuts
        trying = asyncio.create_task(attempt)
        while proxy.cuts == before:
            await asyncio.sleep(0.01)
        await between()
        assert not trying.done()
    return await trying


async def test_removing_once_more_spares_a_newer_grant(server):
    """Which another host stored after the first try had come through, or had found nothing."""
    async with Proxy(server.url) as proxy, server.store() as other:

        async def approve():
            await other.put(record(body=b"newer"))

        async with server.store(proxy.url) as store:
            await on_its_connection(store)
            await other.put(record())
            for was_there in (True, False):
                removal = store.remove(SCOPE, "1001")
                found = await with_something_between(proxy, removal, between=approve)
                assert found is was_there
                assert (await store.get(SCOPE, "1001")).body == b"newer"
                await other.remove(SCOPE, "1001")


async def test_removing_once_more_removes_what_was_not_removed(server):
    """The first try was undone, and another host refreshed the grant meanwhile."""
    async with Proxy(server.url) as proxy, server.store() as other:
        kept = await other.put(record())

        async def refresh():
            await other.put(evolve(kept, body=b"newer"))

        async with server.store(proxy.url) as store:
            await on_its_connection(store)
            removal = store.remove(SCOPE, "1001")
            assert await with_something_between(proxy, removal, "DELETE", between=refresh)
            assert await store.get(SCOPE, "1001") is None


ENDINGS = {
    "give back": (
        "somebody",
        lambda store, _: store.lease(SCOPE, "1001", holder="somebody", seconds=0),
    ),
    "write": (
        "somebody",
        lambda store, kept: store.put(evolve(kept, body=b"2"), release="somebody"),
    ),
    "first write": (
        "COMMIT",
        lambda store, _: store.put(record("new", "1001"), release="somebody"),
    ),
}


@pytest.mark.parametrize(("marker", "end"), ENDINGS.values(), ids=ENDINGS)
async def test_ending_a_lease_once_more_spares_a_newer_one(server, marker, end):
    """Of the same holder, at its next task; whether the lease is given back or ends by a write."""
    async with Proxy(server.url) as proxy, server.store() as other:
        kept = await other.put(record())

        async def lease():
            while not await other.lease(SCOPE, "1001", holder="somebody", seconds=60):
                await asyncio.sleep(0.01)  # the commit is on its way

        await lease()
        async with server.store(proxy.url) as store:
            await on_its_connection(store)
            assert await with_something_between(proxy, end(store, kept), marker, between=lease)
            assert await store.lease(SCOPE, "1001", holder="b", seconds=60) is None


async def test_a_write_that_was_undone_ends_the_lease_at_its_next_try(server):
    """The connection broke before the commit."""
    async with Proxy(server.url) as proxy, server.store(proxy.url) as store:
        kept = await store.put(record())
        for ending in (
            lambda: store.put(evolve(kept, body=b"2"), release="a"),
            lambda: store.lease(SCOPE, "1001", holder="a", seconds=0),
        ):
            assert await store.lease(SCOPE, "1001", holder="a", seconds=60)
            proxy.cut()
            assert await ending()
            assert await store.lease(SCOPE, "1001", holder="b", seconds=60)
            assert await store.lease(SCOPE, "1001", holder="b", seconds=0)


async def test_a_connection_that_breaks_again_and_again_is_told(server):
    """With what was asked for made at most once."""
    async with Proxy(server.url) as proxy:
        store = server.store(proxy.url)
        kept = await store.put(record())
        await on_its_connection(store)
        proxy.cut_at(*["second"] * 9)
        with pytest.raises(StoreError, match="the connection broke") as caught:
            await store.put(evolve(kept, body=b"second"))
        assert caught.value.retryable
        proxy.cut_at()
        written = await store.put(evolve(kept, body=b"second"))
        assert written.revision == kept.revision + 1
        await store.aclose()


def impatient(database):
    if database.name == "postgresql":
        return {"connect_args": {"server_settings": {"lock_timeout": "100"}}}
    return {"connect_args": {"init_command": "SET innodb_lock_wait_timeout = 1"}}


async def test_a_lock_that_nobody_gives_back_is_told(server):
    """After as long as the database is told to wait; and all goes on when it is given back."""
    async with server.engine(**impatient(server)) as engine:
        store = server.store(engine)
        kept = await store.put(record())
        async with server.locked("UPDATE {t}records SET generation = generation"):
            with pytest.raises(StoreError, match="Look for a transaction that hangs") as caught:
                await store.put(evolve(kept, body=b"late"))
            assert caught.value.retryable
            assert await store.get(SCOPE, "1001") == kept
        await store.put(evolve(kept, body=b"late"))
        await store.aclose()


async def test_a_full_pool_is_told(server):
    """By the user's own engine, which somebody else keeps busy."""
    async with server.engine(pool_size=1, max_overflow=0, pool_timeout=0.1) as engine:
        store = server.store(engine)
        async with engine.connect():
            with pytest.raises(StoreError, match="no connection of the pool became free"):
                await store.get(SCOPE, "1001")
        assert await store.get(SCOPE, "1001") is None
        await store.aclose()


async def test_a_replica_is_told(postgresql):
    """Reading works there, writing does not."""
    database = postgresql
    settings = {"default_transaction_read_only": "on"}
    async with database.engine(connect_args={"server_settings": settings}) as engine:
        store = database.store(engine)
        with pytest.raises(StoreError, match="is read-only, so nothing was changed"):
            await store.put(record())
        assert await store.get(SCOPE, "1001") is None
        await store.aclose()


async def test_a_statement_that_the_database_stops_is_told(postgresql):
    """``statement_timeout``, or an administrator."""
    database = postgresql
    async with database.engine(
        connect_args={"server_settings": {"statement_timeout": "100"}}
    ) as engine:
        store = database.store(engine)
        kept = await store.put(record())
        async with database.locked("UPDATE {t}records SET generation = generation"):
            with pytest.raises(StoreError, match="took longer than the database allows"):
                await store.put(evolve(kept, body=b"late"))
        await store.aclose()


async def test_a_file_that_is_no_database_is_told(tmp_path):
    """And left as it is."""
    path = tmp_path / "tokens.db"
    path.write_bytes(b"garbage" * 1000)
    store = SQLAlchemyStore(f"sqlite:///{path}")
    with pytest.raises(StoreError, match=r"the database failed.*SQLITE_NOTADB"):
        await store.get(SCOPE, "1001")
    await store.aclose()
    assert path.read_bytes() == b"garbage" * 1000


async def test_a_database_that_does_not_answer_is_not_waited_for(server):
    """The store says so, and works again when the database does."""
    async with SQLAlchemyStore(server.url, table_prefix=server.prefix, timeout=0.5) as store:
        kept = await store.put(record("1"))
        async with server.locked("UPDATE {t}records SET generation = generation"):
            with pytest.raises(StoreError, match="did not answer in time") as caught:
                await store.put(evolve(kept, generation=2))
        assert caught.value.retryable
        for _ in range(20):  # more than the pool has: none of them is lost
            kept = await store.put(evolve(kept, generation=kept.generation + 1))
        assert await store.get(SCOPE, "1") == kept


async def test_a_server_that_only_listens_is_not_waited_for(server):
    """Connecting takes no longer than a transaction may."""
    async with Proxy(server.url) as proxy:
        proxy.is_silent = True
        store = SQLAlchemyStore(proxy.url, table_prefix=server.prefix, timeout=0.5)
        began = monotonic()
        with pytest.raises(StoreError, match="did not answer in time"):
            await store.get(SCOPE, "1001")
        assert monotonic() - began < 5
        proxy.is_silent = False
        assert await store.get(SCOPE, "1001") is None
        await store.aclose()


async def test_a_crowd_at_an_engine_of_the_store_is_told(server, monkeypatch):
    """Those who find all connections in use wait as long as a pool has them wait, and no longer."""
    monkeypatch.setattr(_transactions, "_POOL_TIMEOUT", 0.1)
    async with server.store() as store:
        await store.put(record())
        async with server.locked("UPDATE {t}records SET generation = generation"):
            busy = [asyncio.create_task(store.remove(SCOPE, "1001")) for _ in range(8)]
            await asyncio.sleep(0.05)
            with pytest.raises(StoreError, match="no connection of the pool became free"):
                await store.get(SCOPE, "1001")
        assert any(await asyncio.gather(*busy))
        assert await store.get(SCOPE, "1001") is None


async def test_closing_does_not_wait_for_a_network_that_swallows_everything(server):
    """However many connections lie idle in the pool."""
    async with Proxy(server.url) as proxy:
        store = server.store(proxy.url)
        await asyncio.gather(*(store.put(record(f"{n}")) for n in range(20)))
        proxy.is_silent = True
        await asyncio.wait_for(store.aclose(), 10)
        assert store._engine.pool.pool.checkedin() == 0


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(ValueError, match="positive number of seconds"):
        SQLAlchemyStore("postgresql://127.0.0.1/test", timeout=timeout)


class Undone(Exception):
    """What a driver raises; MySQL's have a number, PostgreSQL's a state."""

    def __init__(self, server):
        super().__init__(*((1213, "Deadlock found") if server.name == "mariadb" else ("lost",)))
        self.sqlstate = "40001"


@pytest.fixture
def a_commit_undoes_all(server, monkeypatch):
    """Lets the next commit of a store undo everything and say so; then somebody else writes."""

    def arrange(store, meanwhile):
        commit, execute, left = AsyncConnection.commit, AsyncConnection.execute, [Undone(server)]

        async def fail():
            error = sa.exc.OperationalError("COMMIT", {}, left.pop())
            await meanwhile()
            raise error

        async def commit_or_fail(db):
            if db.engine is store._engine.pool and left:
                await db.rollback()
                await fail()
            await commit(db)

        async def execute_or_fail(db, statement, *values):
            is_commit = statement.is_update and not in_transaction(db)
            if db.engine is store._engine.pool and is_commit and left:
                await fail()
            return await execute(db, statement, *values)

        monkeypatch.setattr(AsyncConnection, "commit", commit_or_fail)
        monkeypatch.setattr(AsyncConnection, "execute", execute_or_fail)
        return left

    def in_transaction(db):
        raw = db.sync_connection.connection
        if server.name == "mariadb":
            return raw.driver_connection.get_transaction_status()
        return raw.dbapi_connection.isolation_level != "autocommit"

    return arrange


async def test_a_removal_that_its_commit_undid_is_made_again(server, a_commit_undoes_all):
    """Of what is there by then: said and done agree, as on two nodes of a Galera cluster."""
    async with server.store() as store, server.store() as other:
        kept = await store.put(record())
        for _ in range(3):
            await store.get(SCOPE, "1001")  # connections and tables have been looked at
        newer = evolve(kept, generation=2, body=b"newer")
        left = a_commit_undoes_all(store, lambda: other.put(newer))
        assert await store.remove(SCOPE, "1001")
        assert not left
        assert await other.get(SCOPE, "1001") is None


async def test_a_lease_whose_end_its_commit_undid_is_ended_again(server, a_commit_undoes_all):
    """Nobody else waits for it."""
    async with server.store() as store, server.store() as other:
        kept = await store.put(record())
        for _ in range(3):
            assert await store.lease(SCOPE, "1001", holder="a", seconds=60) == kept
        left = a_commit_undoes_all(store, lambda: other.get(SCOPE, "1001"))
        assert await store.lease(SCOPE, "1001", holder="a", seconds=0) == kept
        assert not left
        assert await other.lease(SCOPE, "1001", holder="b", seconds=60) == kept


def test_a_node_without_a_majority_has_words_of_its_own():
    """And its connection is not used again, although a ping over it succeeds."""
    failure, code = classify(Exception(1047, "WSREP has not yet prepared node"))
    assert "has lost the majority" in str(failure.error("mysql://h/db", code))
    assert failure.remedy is Remedy.RECONNECT
    assert failure.is_passing


async def test_connections_that_died_silently_are_waited_for_once(server):
    """As they do behind a firewall that has forgotten them: the rest of the pool is made anew."""
    with Network(make_url(server.url).port) as network:
        url = make_url(server.url).set(port=network.port).render_as_string(hide_password=False)
        store = SQLAlchemyStore(url, table_prefix=server.prefix, timeout=3)
        await asyncio.gather(
            *(store.records(SCOPE).__anext__() for _ in range(8)), return_exceptions=True
        )
        assert store._engine.pool.pool.checkedin() > 2
        network.cut("strand")
        network.mend()
        assert await store.get(SCOPE, "1001") is None  # in vain once; twice would be an error
        await store.aclose()
