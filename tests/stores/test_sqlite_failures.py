"""What fails is a ``StoreError``, what was there stays, and nothing secret is said."""

import json
import os
import sqlite3
import stat
import subprocess
import time
import traceback
from contextlib import closing
from datetime import datetime
from types import SimpleNamespace

import anyio
import pytest
from attrs import evolve
from store_helpers import BACKENDS, SCOPE, child, filled, is_whole, record, run, whole

from iop_async import StaleRecord, StoreError
from iop_async.stores import SQLiteStore
from iop_async.stores._sqlite import _errors, _sessions, _writes

CANARY = b"50000601c30canary3mSoB7701"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


def answer(*command):
    done = subprocess.run(child(*command), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_disk_leaves_what_was_there(path, backend, monkeypatch):
    """Acknowledged writes are kept, the others refused, and room makes it work again."""
    monkeypatch.setattr(_sessions, "_PRAGMAS", (*_sessions._PRAGMAS, "max_page_count = 60"))
    kept, refused = {}, []

    async def write(store, seller):
        try:
            kept[seller] = await store.put(whole(seller, 1))
        except StoreError as error:
            refused.append(error)

    async def main():
        async with SQLiteStore(path) as store:
            async with anyio.create_task_group() as tasks:
                for n in range(200):
                    tasks.start_soon(write, store, f"{n}")
            for n in range(200, 220):
                await write(store, f"{n}")
            monkeypatch.undo()
            found = {one.seller_id: one async for one in store.records(SCOPE)}
            assert found == kept
        async with SQLiteStore(path) as store:
            await store.put(whole("afterwards", 1))

    run(main, backend)
    assert kept
    assert refused
    for error in refused:
        assert str(error).startswith(f"{path}: the disk is full; what was there before is intact")
        assert error.retryable
        assert isinstance(error.__cause__, sqlite3.OperationalError)


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on the size of files")
def test_a_file_that_may_not_grow_leaves_what_was_there(path):
    """The system refuses in the middle of a commit, and later allows it again."""
    said = answer("small_disk", path)
    assert said.startswith(f"{path}: ")
    assert "intact" in said or "nothing was changed" in said


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="needs to become another user")
def test_a_read_only_file_leaves_what_was_there(path):
    """Writing is an error that says so, and so is a look at the store beforehand."""
    run(lambda: filled(path))
    found = path.read_bytes()
    for directory in (path.parent, *path.parent.parents[:3]):
        if stat.S_IMODE(directory.stat().st_mode) & 0o077 == 0 and directory.owner() == "root":
            directory.chmod(0o755)
    path.chmod(0o644)
    said = answer("not_permitted", path, 65534)
    assert len(said) == 3
    for words in said:
        assert words.startswith(f"{path}: the file or its file system is read-only; what is there")
    assert path.read_bytes() == found


@pytest.mark.skipif(not hasattr(os, "ST_RDONLY"), reason="needs POSIX")
def test_a_file_on_a_read_only_mount_has_the_same_words(path, monkeypatch):
    """SQLite says that it cannot open it, where there is no -shm beside it."""
    error = sqlite3.OperationalError("unable to open database file")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    assert "Look at its disk, its directory" in str(_errors.store_error(error, path))
    mounted = SimpleNamespace(f_flag=os.ST_RDONLY | os.ST_NOSUID)
    monkeypatch.setattr(os, "statvfs", lambda _: mounted)
    assert "its file system is read-only" in str(_errors.store_error(error, path))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_that_stays_locked_is_given_up_in_time(path, backend):
    """Not at once, and not for ever; the next write works when the lock is gone."""

    async def main():
        async with SQLiteStore(path, busy_timeout=0.2) as store:
            kept = await store.put(record())
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                begun = time.monotonic()
                with pytest.raises(StoreError, match="another process kept the file locked"):
                    await store.put(evolve(kept, body=b"1"))
                assert 0.2 <= time.monotonic() - begun < 5
                assert await store.get(SCOPE, "1001") == kept
            kept = await store.put(evolve(kept, body=b"2"))
            assert await store.get(SCOPE, "1001") == kept

    run(main, backend)


def test_a_writer_waits_for_another_process(path):
    """As long as it is allowed to."""

    async def main():
        async with SQLiteStore(path) as store:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(store.put, record())
                    await anyio.sleep(0.1)
                    other.execute("COMMIT")
            assert await store.get(SCOPE, "1001") is not None

    run(main)


class SickDatabase:
    """A connection that fails where it is told to."""

    def __init__(self, db, statement, error, after=0):
        self._db = db
        self._statement = statement
        self._error = error
        self._after = after

    def execute(self, statement, *values):
        if statement.startswith(self._statement):
            if not self._after:
                raise self._error
            self._after -= 1
        return self._db.execute(statement, *values)

    def __getattr__(self, name):
        return getattr(self._db, name)


def failing(monkeypatch, statement, error, after=0):
    """Let the next connection fail once; the ones after it are well."""
    connect = _sessions._file.connect
    sick = []

    def once(path, options):
        db = connect(path, options)
        if options == "mode=rw" and not sick:
            sick.append(True)
            return SickDatabase(db, statement, error, after)
        return db

    monkeypatch.setattr(_sessions._file, "connect", once)


def test_a_commit_that_fails_fails_every_write_in_it(path, monkeypatch):
    """None of them was acknowledged, none of them is there."""
    run(lambda: filled(path, 1))
    failing(monkeypatch, "COMMIT", sqlite3.OperationalError("disk I/O error"))

    failures = []

    async def writes():
        store = SQLiteStore(path)

        async def write(n):
            try:
                await store.put(record(f"new {n}"))
            except StoreError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(write, n)
        found = {one.seller_id async for one in store.records(SCOPE)}
        await store.aclose()
        return found

    found = run(writes)
    assert failures
    assert len(found) == 21 - len(failures)
    assert len({id(error) for error in failures}) == len(failures)


def test_one_bad_write_does_not_undo_the_others(path):
    """Those that share a transaction with it are kept."""

    async def main():
        async with SQLiteStore(path) as store:
            base = [await store.put(record(f"{n}")) for n in range(50)]
            outcomes = {}

            async def write(one):
                stale = one.seller_id.endswith(("3", "7"))
                change = evolve(one, body=b"new", revision=one.revision + 5 * stale)
                try:
                    outcomes[one.seller_id] = await store.put(change)
                except StaleRecord:
                    assert stale

            async with anyio.create_task_group() as tasks:
                for one in base:
                    tasks.start_soon(write, one)
            found = {one.seller_id: one async for one in store.records(SCOPE)}
            for one in base:
                assert found[one.seller_id] == outcomes.get(one.seller_id, one)
            assert len(outcomes) == 40

    run(main)


def test_a_write_that_fails_half_way_leaves_nothing_behind(path, monkeypatch):
    """Neither its own record nor the sellers that it took; those beside it are kept."""
    index_sellers = _writes._index_sellers

    def break_down(db, key, written, before):
        index_sellers(db, key, written, before)
        if written.seller_id == "bad":
            raise sqlite3.DataError("string or blob too big")

    monkeypatch.setattr(_writes, "_index_sellers", break_down)

    async def main():
        async with SQLiteStore(path) as store:
            victim = await store.put(record("victim", "shared"))
            async with anyio.create_task_group() as tasks:
                for n in range(10):
                    tasks.start_soon(store.put, record(f"{n}"))
                with pytest.raises(StoreError, match="blob too big"):
                    await store.put(record("bad", "shared"))
            assert await store.get(SCOPE, "shared") == victim
            assert await store.get(SCOPE, "bad") is None
            assert len([one async for one in store.records(SCOPE)]) == 11

    run(main)


def test_a_name_that_is_no_text_is_refused_without_harm_to_others(path):
    """Neither reading nor removing by it fails those who ask at the same time."""

    async def main():
        async with SQLiteStore(path) as store:
            kept = await store.put(record())

            async def refused(ask):
                with pytest.raises(ValueError, match="half of a surrogate pair"):
                    await ask(SCOPE, "\ud800")

            async def served():
                assert await store.get(SCOPE, "1001") == kept
                assert not await store.remove(SCOPE, "unknown")

            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(refused, store.get)
                    tasks.start_soon(served)
                    tasks.start_soon(refused, store.remove)

    run(main)


def test_a_bug_reaches_who_met_it_and_nobody_else(path):
    """The store goes on."""

    async def main():
        async with SQLiteStore(path, now=lambda: 1 / 0) as store:
            await store.put(record())
            with pytest.raises(ZeroDivisionError):
                await store.lease(SCOPE, "1001", holder="a", seconds=1)
            assert await store.get(SCOPE, "1001") is not None
            await store.put(record("2"))

    run(main)


@pytest.mark.parametrize("place", ["_begin", "serve"])
def test_a_bug_in_the_store_itself_leaves_nobody_waiting(path, place, monkeypatch):
    """And the next write finds a connection without a transaction."""

    def broken(self, *arguments):
        if place == "_begin":
            self.connection().execute("BEGIN IMMEDIATE")
        raise ZeroDivisionError

    async def main():
        async with SQLiteStore(path) as store:
            with monkeypatch.context() as patch:
                patch.setattr(_sessions.Writer, place, broken)
                async with anyio.create_task_group() as tasks:
                    for n in range(10):
                        tasks.start_soon(refused, store, f"{n}")
            await store.put(record())
            assert [one.seller_id async for one in store.records(SCOPE)] == ["1001"]

    async def refused(store, seller):
        with pytest.raises(ZeroDivisionError):
            await store.put(record(seller))

    run(main)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_error_shows_what_a_record_holds(path, backend, monkeypatch):
    """Neither in words nor in the local variables of a traceback."""
    caught = []

    async def attempt(store, one):
        try:
            await store.put(one)
        except StoreError as error:
            caught.append(error)

    async def main():
        store = SQLiteStore(path, busy_timeout=0.05)
        kept = await store.put(record(body=CANARY))
        await store.put(evolve(kept, body=CANARY + b"2"))
        await attempt(store, evolve(kept, body=CANARY + b"3"))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await attempt(store, record("2", body=CANARY))
        monkeypatch.setattr(_writes, "REPLACE", "no such statement")
        await attempt(store, record("3", body=CANARY))
        await store.aclose()
        await attempt(store, record("4", body=CANARY))

    run(main, backend)
    assert [type(error) for error in caught] == [StaleRecord, StoreError, StoreError, StoreError]
    for error in caught:
        shown = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
        assert CANARY.decode() not in shown


def test_a_record_that_breaks_the_rules_is_refused_before_it_is_written(path):
    """Bad input is the caller's error and not the store's."""
    good = record("a", "b")
    bad = [
        evolve(good, seller_ids=("b",)),
        evolve(good, seller_ids=("a", "b", "b")),
        evolve(good, seller_id="\ud800", seller_ids=("\ud800",)),
        evolve(good, scope="a\0b"),
        evolve(good, generation=2**63),
        evolve(good, revision=-1),
        evolve(
            good,
            due_at=datetime(2026, 1, 1),  # noqa: DTZ001 - that is what is refused
        ),
    ]

    async def main():
        async with SQLiteStore(path) as store:
            for one in bad:
                with pytest.raises(ValueError, match=r"\w"):
                    await store.put(one)
            with pytest.raises(TypeError, match="bytes"):
                await store.put(evolve(good, body="text"))
            for seconds in (0, -1, float("nan"), float("inf"), 1e12):
                with pytest.raises(ValueError, match="lease"):
                    await store.claim(SCOPE, due_by=None, limit=1, holder="a", seconds=seconds)
            naive = datetime(2026, 1, 1)  # noqa: DTZ001 - that is what is refused
            with pytest.raises(ValueError, match="due_by is a naive datetime"):
                await store.claim(SCOPE, due_by=naive, limit=1, holder="a", seconds=1)
            assert [one async for one in store.records(SCOPE)] == []

    run(main)


def test_what_is_whole_is_told_from_what_is_not():
    """The tests above and elsewhere rest on it."""
    assert is_whole(whole("1", 2))
    assert not is_whole(evolve(whole("1", 2), body=whole("1", 3).body))
