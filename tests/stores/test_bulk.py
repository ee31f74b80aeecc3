"""Many records at once, and all of them: the cost of each does not grow with where it is."""

import sqlite3
from collections import Counter

import pytest
from redis_servers import own_server
from store_helpers import SCOPE, record, run
from store_kinds import provisioning

from iop_async import StoreError
from iop_async.stores import RedisStore, SQLiteStore
from iop_async.stores._redis import _runner
from iop_async.stores._sqlite import _rows, _sessions


def some(count, **facts):
    return [record(f"{n}", f"also {n}", **facts) for n in range(count)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


@pytest.fixture
def redis(tmp_path):
    with provisioning() as at:
        yield at("redis", tmp_path)


@pytest.fixture
def steps(monkeypatch):
    """Steps of SQLite's machine that each page took, in tens."""
    counted = []
    page = _rows.page

    def watched(db, *args, **kwargs):
        counted.append(0)
        db.set_progress_handler(count, 10)
        try:
            return page(db, *args, **kwargs)
        finally:
            db.set_progress_handler(None, 0)

    def count():
        counted[-1] += 1

    monkeypatch.setattr(_rows, "page", watched)
    return counted


def test_a_page_of_a_file_costs_the_same_wherever_it_begins(path, steps):
    """Nothing before it is passed over once more."""

    async def main():
        async with SQLiteStore(path) as store:
            await store.put_many([*some(3_000), *some(3_000, scope="another")])
            return [one async for one in store.records(SCOPE)]

    assert len(run(main)) == 3_000
    assert len(steps) == 16
    assert max(steps[1:-1]) <= 1.05 * min(steps[:-1])


@pytest.fixture
def calls(monkeypatch):
    """Scripts that Redis ran, with what they were given, and their answers."""
    seen = []
    execute = _runner.ScriptRunner.execute

    async def watched(self, call):
        answer = await execute(self, call)
        seen.append((call.script.name, call.args, answer))
        return answer

    monkeypatch.setattr(_runner.ScriptRunner, "execute", watched)
    return seen


def test_a_page_of_redis_begins_at_a_place_in_an_index(redis, calls):
    """Where the one before it ended: it is one script, and gives no record twice."""

    async def main():
        async with redis.store() as store:
            await store.put_many(some(1_000))
            del calls[:]
            return [one async for one in store.records(SCOPE)]

    assert len(run(main)) == 1_000
    assert Counter(name for name, *_ in calls) == {"page": 6}
    begins = [args[0] for _, args, _ in calls]
    assert begins == [b"0", *(answer[-1][0] for _, _, answer in calls[:-1])]
    assert max(len(answer) for *_, answer in calls) == 200


def test_a_thousand_records_are_ten_steps_of_redis(redis, calls):
    """And as many where they are there already."""

    async def main():
        async with redis.store() as store:
            for _ in range(2):
                del calls[:]
                written = await store.put_many(some(1_000))
                assert {one.revision for one in written} == {1}
                assert [name for name, *_ in calls] == ["put_many"] * 10

    run(main)


@pytest.fixture
def short_of_room(monkeypatch):
    """SQLite that keeps no more than so many bytes in one place."""
    connect = _sessions._file.connect

    def limited(path, options):
        db = connect(path, options)
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 300_000)
        return db

    monkeypatch.setattr(_sessions._file, "connect", limited)


def test_a_record_that_is_too_large_for_a_file_fails_alone(path, short_of_room):
    """The others are written, and the next call as well."""

    async def main():
        async with SQLiteStore(path) as store:
            huge = record("huge", body=bytes(400_000))
            kept, refused, also = await store.put_many([record("a"), huge, record("b")])
            assert isinstance(refused, StoreError)
            assert "too large" in str(refused)
            assert [kept, also] == [await store.get(SCOPE, name) for name in ("a", "b")]
            assert await store.get(SCOPE, "huge") is None

    run(main)


def test_a_record_that_is_too_large_for_redis_fails_alone(tmp_path):
    """It is told as what it is, and not as a server that failed."""

    async def main(url):
        async with RedisStore(url) as store:
            huge = record("huge", body=bytes(2**20 + 1))
            kept, refused, also = await store.put_many([record("a"), huge, record("b")])
            assert isinstance(refused, StoreError)
            assert "too large" in str(refused)
            assert [kept, also] == [await store.get(SCOPE, name) for name in ("a", "b")]

    with own_server(tmp_path, "--proto-max-bulk-len", "1mb") as server:
        run(lambda: main(server.url))
