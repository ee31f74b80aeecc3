"""The file of an SQLite store: private, whole, and never replaced by an empty one."""

import asyncio
import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from attrs import evolve
from store_helpers import BACKENDS, SCOPE, filled, record, rows, run

from iop_async import StaleRecord, StoreError
from iop_async.stores import SQLAlchemyStore, SQLiteStore
from iop_async.stores._columns import to_micros
from iop_async.stores._sqlite import _file, _schema

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


def modes(directory):
    return {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in os.scandir(directory)}


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277, 0o777], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_only_its_user_can_read_the_file(path, umask, monkeypatch):
    """Nor the log and the index beside it, from their first byte on, whatever the umask."""
    seen = {}
    create = _schema.create

    def watch(db):
        seen.update(modes(path.parent))
        create(db)
        seen.update(modes(path.parent))

    monkeypatch.setattr(_schema, "create", watch)

    async def main():
        async with SQLiteStore(path) as store:
            for n in range(20):
                await store.put(record(f"{n}", body=b"x" * 5000))
                seen.update(modes(path.parent))

    run(main)
    seen.update(modes(path.parent))
    assert {"tokens.db", "tokens.db-wal", "tokens.db-shm"} < set(seen)
    assert set(seen.values()) == {0o600}
    assert set(modes(path.parent)) == {"tokens.db"}


def test_a_file_by_way_of_sqlalchemy_is_as_private(tmp_path, umask):
    """Its log and index too, which take after it."""

    async def main():
        store = SQLAlchemyStore(f"sqlite+aiosqlite:///{tmp_path}/t.db")
        await store.create_tables()
        await store.put(record())
        seen = modes(tmp_path)
        await store.aclose()
        return seen

    seen = asyncio.run(main())
    assert seen == {"t.db": 0o600, "t.db-wal": 0o600, "t.db-shm": 0o600}


def test_an_existing_file_keeps_its_permissions(path):
    """Somebody may have given a group access on purpose; the log gets the same."""
    run(lambda: filled(path))
    path.chmod(0o640)

    async def main():
        async with SQLiteStore(path) as store:
            await store.put(record("new"))
            return modes(path.parent)

    assert set(run(main).values()) == {0o640}


def test_constructing_touches_nothing(path):
    """Nor does closing what was never used."""

    async def main():
        await SQLiteStore(path).aclose()

    run(main)
    assert not list(path.parent.iterdir())


def test_the_path_is_the_one_of_the_construction(tmp_path, monkeypatch):
    """A daemon that changes its directory finds the same file again."""
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("tokens.db")
    (tmp_path / "elsewhere").mkdir()

    async def main():
        os.chdir(tmp_path / "elsewhere")
        async with store:
            await store.put(record())

    run(main)
    assert store.path == tmp_path / "tokens.db"
    assert store.path.exists()
    assert str(store.path) in repr(store)


def test_a_link_leads_to_the_file(tmp_path):
    """One to a file that is not there yet, too."""
    (tmp_path / "data").mkdir()
    link = tmp_path / "tokens.db"
    link.symlink_to(tmp_path / "data" / "real.db")
    kept = run(lambda: filled(link))

    async def main():
        async with SQLiteStore(tmp_path / "data" / "real.db") as store:
            return [await store.get(SCOPE, one.seller_id) for one in kept]

    assert run(main) == kept
    assert link.is_symlink()


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_store_without_a_file_is_refused(path):
    """There is another class for that."""
    with pytest.raises(ValueError, match="MemoryStore"):
        SQLiteStore(path)


def test_a_missing_directory_is_an_error(tmp_path):
    """A typed one, which names the path."""

    async def main():
        async with SQLiteStore(tmp_path / "not there" / "tokens.db"):
            pass

    with pytest.raises(StoreError, match=r"not there/tokens\.db: .*No such file or directory"):
        run(main)


def garbage(path):
    path.write_bytes(os.urandom(9000))


def text(path):
    path.write_text('{"tokens": []}')


def torn(path):
    run(lambda: filled(path, 100, body=b"x" * 500))
    os.truncate(path, 20_000)


def torn_in_its_first_page(path):
    run(lambda: filled(path))
    os.truncate(path, 300)


def with_a_damaged_schema(path):
    run(lambda: filled(path))
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 3000 + content[3100:])


DAMAGES = [garbage, text, torn, torn_in_its_first_page, with_a_damaged_schema]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_left_alone_and_kept_aside(path, damage):
    """At every start anew, so that no restart begins with an empty store."""
    damage(path)
    found = path.read_bytes()

    async def main():
        store = SQLiteStore(path)
        for attempt in (store.get(SCOPE, "1"), store.put(record("2")), store.next_due(SCOPE)):
            with pytest.raises(StoreError, match="damaged") as caught:
                await attempt
            assert not caught.value.retryable
            assert f"{path}.corrupt" in str(caught.value)
            assert isinstance(caught.value.__cause__, sqlite3.Error)
        await store.aclose()

    for _ in range(2):
        run(main)
    assert path.read_bytes() == found
    path.unlink()
    assert path.with_name("tokens.db.corrupt").read_bytes() == found


def test_a_file_whose_checkpoint_was_interrupted_is_whole(path, tmp_path):
    """Its beginning says that there is more of it; the rest is in the log, so nothing is torn."""
    crashed = tmp_path / "crashed.db"

    async def main():
        async with SQLiteStore(path) as store:
            kept = [await store.put(record(f"{n}", body=b"x" * 3000)) for n in range(100)]
            shutil.copy(f"{path}-wal", f"{crashed}-wal")
        return kept

    kept = run(main)
    assert path.stat().st_size > 400_000
    crashed.write_bytes(path.read_bytes()[:100_000])

    async def look():
        async with SQLiteStore(crashed) as store:
            return [one async for one in store.records(SCOPE)]

    assert run(look) == kept


def test_a_file_that_may_not_be_read_is_an_error(path, monkeypatch):
    """Which says so, instead of calling it damaged."""
    run(lambda: filled(path))
    connect = _file.connect

    def refuse(path, options):
        if "immutable" in options:
            return connect(path.with_name("not there"), options)
        return connect(path, options)

    monkeypatch.setattr(_file, "connect", refuse)

    async def main():
        async with SQLiteStore(path):
            pass

    with pytest.raises(StoreError, match="cannot be read or written"):
        run(main)
    assert [file.name for file in path.parent.iterdir()] == ["tokens.db"]


def test_a_second_damaged_file_does_not_replace_the_first(path):
    """What was kept aside stays what it was."""
    aside = path.with_name("tokens.db.corrupt")
    aside.write_bytes(b"the first")
    path.write_bytes(b"the second")

    async def main():
        async with SQLiteStore(path):
            pass

    with pytest.raises(StoreError, match="Keep a copy of it"):
        run(main)
    assert (aside.read_bytes(), path.read_bytes()) == (b"the first", b"the second")


def test_an_empty_file_is_no_store(path):
    """Ours appear complete: an empty one lost what it held, or was never a store."""
    path.touch()

    async def main():
        async with SQLiteStore(path):
            pass

    for _ in range(2):
        with pytest.raises(StoreError, match="it is empty, and one of ours never is"):
            run(main)
    assert path.read_bytes() == b""


def test_the_log_beside_an_empty_file_is_left_alone(path):
    """SQLite itself would delete it, with the last tokens that were written."""
    path.touch()
    log = path.with_name("tokens.db-wal")
    log.write_bytes(b"the last tokens")

    async def main():
        async with SQLiteStore(path):
            pass

    with pytest.raises(StoreError):
        run(main)
    assert log.read_bytes() == b"the last tokens"


def test_a_database_of_another_program_is_not_touched(path):
    """Nor does a directory become a store."""
    rows(path, "CREATE TABLE theirs (x)")
    found = path.read_bytes()

    async def main(file):
        async with SQLiteStore(file):
            pass

    with pytest.raises(StoreError, match="a database of another program"):
        run(lambda: main(path))
    assert path.read_bytes() == found
    with pytest.raises(StoreError, match="no regular file"):
        run(lambda: main(path.parent))


def test_a_newer_file_is_refused_and_left_as_it_is(path):
    """A release that does not know its tables neither reads nor cuts it."""
    run(lambda: filled(path))
    rows(path, f"PRAGMA user_version = {_schema.VERSION + 1}")
    found = path.read_bytes()

    async def main():
        async with SQLiteStore(path):
            pass

    with pytest.raises(StoreError, match=r"version 2 and this release .* knows 1") as caught:
        run(main)
    assert not caught.value.retryable
    assert path.read_bytes() == found


def test_a_file_that_another_release_takes_further_is_no_longer_written(path):
    """An old process that runs on after an upgrade stops at its next write."""

    async def main():
        async with SQLiteStore(path) as store:
            kept = await store.put(record())
            rows(path, f"PRAGMA user_version = {_schema.VERSION + 1}")
            with pytest.raises(StoreError, match="version 2"):
                await store.put(evolve(kept, body=b"new"))
            rows(path, f"PRAGMA user_version = {_schema.VERSION}")
            await store.put(evolve(kept, body=b"new"))

    run(main)


def test_an_older_file_is_upgraded_with_all_it_holds(path, monkeypatch):
    """By whichever process comes first; the others find it done."""
    kept = run(lambda: filled(path))
    monkeypatch.setattr(_schema, "VERSION", 3)
    monkeypatch.setattr(
        _schema,
        "UPGRADES",
        {1: ["ALTER TABLE records ADD COLUMN x TEXT"], 2: ["CREATE TABLE y (z)"]},
    )

    async def main():
        stores = [SQLiteStore(path) for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for store in stores:
                tasks.start_soon(store.next_due, SCOPE)
        for store in stores:
            assert [one async for one in store.records(SCOPE)] == kept
            await store.aclose()

    run(main)
    assert rows(path, "PRAGMA user_version") == [(3,)]
    assert rows(path, "SELECT x FROM records") == [(None,)] * 3


def test_an_upgrade_happens_as_a_whole_or_not_at_all(path, monkeypatch):
    """One that fails leaves the file to the release that wrote it."""
    kept = run(lambda: filled(path))
    statements = ["ALTER TABLE records ADD COLUMN x TEXT", "no such statement"]
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "VERSION", 2)
        patch.setattr(_schema, "UPGRADES", {1: statements})

        async def upgrade():
            async with SQLiteStore(path):
                pass

        with pytest.raises(StoreError, match="syntax error"):
            run(upgrade)

    async def main():
        async with SQLiteStore(path) as store:
            return [one async for one in store.records(SCOPE)]

    assert run(main) == kept
    assert rows(path, "SELECT count(*) FROM pragma_table_info('records') WHERE name = 'x'") == [
        (0,)
    ]


def test_columns_of_a_later_release_are_no_hindrance(path):
    """Two releases work on one file side by side."""
    kept = run(lambda: filled(path))
    rows(path, "ALTER TABLE records ADD COLUMN later TEXT DEFAULT 'x'")

    async def main():
        async with SQLiteStore(path) as store:
            changed = await store.put(evolve(kept[0], body=b"by the older release"))
            await store.put(record("new"))
            return changed == await store.get(SCOPE, "0")

    assert run(main)
    assert rows(path, "SELECT DISTINCT later FROM records") == [("x",)]


def test_a_file_that_vanishes_is_not_replaced_by_an_empty_one(path):
    """Writes to a deleted file would be lost; they fail, and work again when it is back."""

    async def main():
        async with SQLiteStore(path) as store:
            kept = await store.put(record())
            for file in list(path.parent.iterdir()):
                shutil.copy(file, f"{file}.away")
                file.unlink()
            for attempt in (store.put(evolve(kept, body=b"lost")), store.get(SCOPE, "1001")):
                with pytest.raises(StoreError, match="was removed while it was in use"):
                    await attempt
            assert not path.exists()
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}.away", f"{path}{suffix}")
            assert await store.get(SCOPE, "1001") == kept
            await store.put(evolve(kept, body=b"kept"))

    run(main)


def test_a_file_that_is_replaced_is_opened_again(path, tmp_path):
    """A copy that was put back is what the store works with from then on."""
    other = run(lambda: filled(tmp_path / "copy.db", 5))

    async def main():
        async with SQLiteStore(path) as store:
            await store.put(record("old"))
            assert await store.get(SCOPE, "4") is None
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink()
            (tmp_path / "copy.db").replace(path)
            assert await store.get(SCOPE, "4") == other[4]
            await store.put(record("new"))
            assert await store.get(SCOPE, "old") is None

    run(main)


def test_stores_that_are_made_at_once_are_one(path):
    """Whoever is first makes the file; nobody replaces it, nobody sees half of it."""
    failures = []

    async def main(n):
        async with SQLiteStore(path) as store:
            await store.put(record(f"{n}"))

    def thread(n):
        try:
            run(lambda: main(n), BACKENDS[n % 2])
        except Exception as error:  # noqa: BLE001 - the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=thread, args=(n,)) for n in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failures
    assert rows(path, "SELECT count(*) FROM records") == [(12,)]
    assert [file.name for file in path.parent.iterdir()] == ["tokens.db"]


def test_looking_at_a_file_keeps_the_locks_on_it(path):
    """Closing a descriptor of one's own would drop those of every connection in the process."""
    table = Path("/proc/locks")
    if not table.exists():
        pytest.skip("needs Linux's table of locks")

    def held():
        inode = path.stat().st_ino
        return [line for line in table.read_text().splitlines() if f":{inode} " in line]

    async def main():
        async with SQLiteStore(path) as store:
            await store.put(record())
            before = len(held())
            assert before
            _file.require_ours(path)
            async with SQLiteStore(path) as other:
                await other.get(SCOPE, "1001")
            assert len(held()) >= before

    run(main)


def test_a_file_whose_log_is_being_folded_into_it_is_not_called_damaged(path, monkeypatch):
    """A look at it half way sees a file that is cut short, and after that no log any more.

    Whoever closes it last folds the log into the file, and then removes the log.
    """
    run(lambda: filled(path, 50))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096])
    looks = []

    def gone(_path):
        looks.append("no log")
        path.write_bytes(whole)
        return False

    monkeypatch.setattr(_file, "_has_log", gone)
    _file.require_ours(path)
    assert looks == ["no log"]
    assert not path.with_name("tokens.db.corrupt").exists()


def test_tokens_that_are_no_longer_kept_leave_the_file(path):
    """A spent refresh token is not found in a copy of the file either."""

    async def main():
        async with SQLiteStore(path) as store:
            kept = await store.put(record(body=b"SPENT" * 100))
            await store.put(evolve(kept, body=b"x"))
            gone = await store.put(record("2", body=b"GONE" * 2000))
            await store.remove(SCOPE, "2")
            with pytest.raises(StaleRecord):
                await store.put(evolve(gone, body=b"late"))

    run(main)
    content = path.read_bytes()
    assert b"SPENT" not in content
    assert b"GONE" not in content


def test_the_log_is_folded_into_the_file_on_closing(path):
    """So that a copy of the one file is a copy of the store."""
    kept = run(lambda: filled(path, 50))
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as db:
        assert db.execute("SELECT count(*) FROM records").fetchone() == (len(kept),)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


INDEXES_OF_0_1 = (
    """CREATE INDEX records_by_due ON records (scope, due_at, lease_until, dies_at)
        WHERE due_at IS NOT NULL""",
    """CREATE INDEX records_by_death ON records (scope, dies_at, due_at, lease_until)
        WHERE due_at IS NOT NULL""",
)
STATEMENTS_OF_0_1 = (
    """SELECT dies_at, id FROM records INDEXED BY records_by_due WHERE scope = :scope
        AND due_at <= :due_by AND coalesce(lease_until, 0) <= :now LIMIT :limit""",
    """SELECT dies_at, id FROM records INDEXED BY records_by_death WHERE scope = :scope
        AND due_at <= :due_by AND coalesce(lease_until, 0) <= :now ORDER BY dies_at LIMIT :limit""",
    """SELECT due_at, id FROM records INDEXED BY records_by_due
        WHERE scope = :scope AND due_at IS NOT NULL AND coalesce(lease_until, due_at) <= due_at
        ORDER BY due_at LIMIT 1""",
    """SELECT min(lease_until), 1 FROM records INDEXED BY records_by_due
        WHERE scope = :scope AND due_at < :due_by AND lease_until > due_at""",
)


def indexes(path):
    return dict(
        rows(path, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''")
    )


def test_indexes_of_a_file_of_release_0_1_are_renewed(path):
    """In place, by whichever process comes first; nothing else changes."""
    run(lambda: filled(path, count=0))
    new = indexes(path)
    kept = run(lambda: filled(path, due_at=START))
    for index in INDEXES_OF_0_1:
        rows(path, f"DROP INDEX {index.split()[2]}")
        rows(path, index)
    assert indexes(path) != new

    async def main():
        stores = [SQLiteStore(path, now=lambda: START) for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for store in stores:
                tasks.start_soon(store.next_due, SCOPE)
        assert [one async for one in stores[0].records(SCOPE)] == kept
        options = {"due_by": START, "limit": 9, "holder": "a", "seconds": 60}
        assert await stores[1].claim(SCOPE, **options) == kept
        for store in stores:
            await store.aclose()

    run(main)
    assert indexes(path) == new
    assert rows(path, "PRAGMA user_version") == [(1,)]


def test_statements_of_release_0_1_work_on_a_file_of_this_one(path):
    """They ask for its indexes by name, and two releases may be at work side by side."""
    kept = run(lambda: filled(path, due_at=START, dies_at=START))
    rows(path, "UPDATE records SET lease_until = ? WHERE seller = '2'", to_micros(START) + 1)
    params = {"scope": SCOPE, "due_by": to_micros(START), "now": to_micros(START), "limit": 9}
    with closing(sqlite3.connect(path)) as db:
        found = [db.execute(query, params).fetchall() for query in STATEMENTS_OF_0_1]
    free = [(to_micros(one.dies_at), key) for key, one in enumerate(kept[:2], 1)]
    assert found == [free, free, free[:1], [(None, 1)]]
