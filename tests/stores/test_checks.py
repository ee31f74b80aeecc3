"""A look at a store, and at a journal, before anybody depends on them."""

import sqlite3
from contextlib import closing

import pytest
from redis_servers import own_server
from store_helpers import SCOPE, filled, record, rows, run

from iop_async import StoreError
from iop_async.protocols import Checkable
from iop_async.stores import (
    EncryptedStore,
    MemoryStore,
    RedisStore,
    SpillJournal,
    SQLiteStore,
    StoreReport,
)

NEW, OLD = {"2026": b"n" * 32}, {"2025": b"o" * 32}
CANARY = "50000601c30canary3mSoB7701"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


async def refusal(attempt):
    with pytest.raises(StoreError) as caught:
        await attempt
    assert CANARY not in str(caught.value)
    return caught.value


def checked(store):
    async def main():
        try:
            return await refusal(store.check(SCOPE))
        finally:
            await store.aclose()

    return run(main)


@pytest.mark.parametrize(
    "change",
    ["DROP TABLE floors", "DROP TABLE sellers", "ALTER TABLE records RENAME COLUMN body TO was"],
)
def test_a_file_without_its_tables_is_found(path, change):
    """Before the first write needs them; a person must act, so it is not retryable."""
    run(lambda: filled(path))
    rows(path, change)
    error = checked(SQLiteStore(path))
    assert "its tables are not those of a token store" in str(error)
    assert not error.retryable


def test_a_file_of_another_program_is_found(path):
    """And stays as it is."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE theirs (a)")
    assert "is no token store" in str(checked(SQLiteStore(path)))
    assert rows(path, "SELECT name FROM sqlite_master") == [("theirs",)]


def test_a_directory_that_is_not_there_is_found(tmp_path):
    """Nothing is made in its place."""
    error = checked(SQLiteStore(tmp_path / "missing" / "tokens.db"))
    assert "Look at its disk, its directory and their permissions" in str(error)
    assert list(tmp_path.iterdir()) == []


async def test_a_look_tells_what_keeps_the_records(path, tmp_path):
    """As a value, for whoever shows it."""
    async with EncryptedStore(SQLiteStore(path), NEW) as store:
        report = await store.check()
    assert report == StoreReport(store=str(path), server=f"SQLite {sqlite3.sqlite_version}")
    assert (await MemoryStore().check()).warnings == ("nothing outlives this process",)
    with own_server(tmp_path) as server:
        async with RedisStore(server.url) as store:
            report = await store.check()
    assert report.store == server.url
    assert report.server.startswith("Redis ")
    assert abs(report.clock_offset) < 30
    assert "it keeps nothing on disk" in report.warnings[0]


async def test_a_server_that_does_not_tell_of_itself_may_be_used(tmp_path):
    """Managed ones forbid that."""
    rule = ("--user", "app", "on", ">pw", "~*", "+@all", "-config", "-info")
    with own_server(tmp_path, *rule) as server:
        async with RedisStore(f"redis://app:pw@127.0.0.1:{server.port}/0") as store:
            assert (await store.check()).warnings == ()


async def test_a_replica_is_found(tmp_path):
    """It can be read, but no refresh could be made durable there."""
    for name in ("master", "replica"):
        (tmp_path / name).mkdir()
    with own_server(tmp_path / "master") as master:
        options = ("--replicaof", "127.0.0.1", str(master.port))
        with own_server(tmp_path / "replica", *options) as replica:
            async with RedisStore(replica.url) as store:
                assert "read-only replica" in str(await refusal(store.check(SCOPE)))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (("+@all", "-@write"), "It needs the commands"),
        (("~other*", "+@all"), "It needs the commands"),
        (("+@all", f">{CANARY}x"), "refuses the user name or password"),
    ],
    ids=["reads only", "other keys", "wrong password"],
)
async def test_a_user_without_the_rights_is_found(tmp_path, rule, words):
    """Although a server answers, and may be read."""
    password = () if any(CANARY in part for part in rule) else (f">{CANARY}",)
    keys = () if any(part.startswith("~") for part in rule) else ("~*",)
    options = ("--user", "app", "on", *password, *keys, *rule)
    with own_server(tmp_path, *options) as server:
        store = RedisStore(server.url.replace("//", f"//app:{CANARY}@"))
        error = await refusal(store.check(SCOPE))
        assert words in str(error)
        assert not error.retryable
        await store.aclose()


async def test_a_full_memory_is_found_and_may_pass(tmp_path):
    """What was deleted elsewhere makes room."""
    with own_server(tmp_path, "--maxmemory-policy", "noeviction") as server:
        async with RedisStore(server.url) as store:
            await store.put(record())
            with server.client() as client:
                client.config_set("maxmemory", "1kb")
                error = await refusal(store.check(SCOPE))
                assert "memory is full" in str(error)
                assert error.retryable
                client.config_set("maxmemory", "0")
            await store.check(SCOPE)


async def test_keys_of_another_store_are_found(path):
    """Nothing that is there could be read, and what is written could not be read by the others."""
    async with EncryptedStore(SQLiteStore(path), OLD) as store:
        for n in range(3):
            await store.put(record(f"{n}"))
        await store.check(SCOPE)
    async with EncryptedStore(SQLiteStore(path), NEW) as store:
        error = await refusal(store.check(SCOPE))
        assert "none of the first 3 records can be decrypted" in str(error)
        assert "key id '2025' is missing" in str(error)
        assert not error.retryable
        await store.check("another app")  # which has nothing to read


async def test_one_record_that_does_not_open_keeps_nobody_out(path):
    """Else who can write one row could stop the refreshing of all."""
    async with EncryptedStore(SQLiteStore(path), NEW) as store:
        for n in range(3):
            await store.put(record(f"{n}"))
    rows(path, "UPDATE records SET body = X'00' WHERE seller = '0'")
    async with EncryptedStore(SQLiteStore(path), NEW) as store:
        await store.check(SCOPE)


class Unchecked:
    """Somebody's store, with what the promises ask for."""

    def records(self, scope):
        return MemoryStore().records(scope)


async def test_an_encrypted_store_is_as_sound_as_what_it_encrypts(path):
    """And a store that has no check is taken as it is."""
    await filled(path)
    rows(path, "DROP TABLE floors")
    async with EncryptedStore(SQLiteStore(path), NEW) as store:
        assert "its tables are not" in str(await refusal(store.check(SCOPE)))
    inner = Unchecked()
    assert not isinstance(inner, Checkable)
    await EncryptedStore(inner, NEW).check(SCOPE)


async def test_a_journal_is_tried_and_left_as_it_was(tmp_path):
    """Whether or not there is one yet."""
    journal = SpillJournal(tmp_path / "tokens.spill")
    await journal.check()
    assert list(tmp_path.iterdir()) == []
    await journal.append(record())
    await journal.check()
    assert await journal.records() == [record()]
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.spill"]


@pytest.mark.parametrize("kind", ["no directory", "a directory in its place", "a file above it"])
async def test_a_journal_that_could_not_be_written_is_found(tmp_path, kind):
    """While nothing depends on it yet."""
    path = tmp_path / "logs" / "tokens.spill"
    if kind == "a directory in its place":
        path.mkdir(parents=True)
    elif kind == "a file above it":
        path.parent.touch()
    error = await refusal(SpillJournal(path).check())
    assert str(error).startswith(f"{path}: the journal of unsaved tokens cannot be")
