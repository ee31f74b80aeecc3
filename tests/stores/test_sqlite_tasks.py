"""Tasks, event loops and threads around an SQLite store."""

import asyncio
import gc
import random
import threading
import time
import weakref
from datetime import UTC, datetime

import anyio
import pytest
import trio
from attrs import evolve
from store_helpers import BACKENDS, SCOPE, count_up, is_whole, record, run, whole

from iop_async import StoreError
from iop_async.stores import SQLiteStore
from iop_async.stores._sqlite import _sessions

PAST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


def stores_threads(path):
    return [thread for thread in threading.enumerate() if thread.name == str(path)]


async def write_and_tell(store, seller, acknowledged):
    kept = await store.put(whole(seller, 1))
    acknowledged[seller] = kept
    for generation in range(2, 6):
        change = whole(seller, generation)
        kept = await store.put(evolve(change, revision=kept.revision))
        acknowledged[seller] = kept


async def inspect(store, acknowledged):
    found = {one.seller_id: one async for one in store.records(SCOPE)}
    assert all(map(is_whole, found.values()))
    for seller, one in acknowledged.items():
        assert found[seller].revision >= one.revision
    await store.put(whole("afterwards", 1))


def test_a_storm_of_cancelled_asyncio_tasks_loses_nothing(path):
    """Tasks are cancelled by asyncio itself, which no shield of anyio withstands."""

    async def main():
        chance = random.Random(1)
        acknowledged = {}
        async with SQLiteStore(path) as store:
            tasks = [
                asyncio.create_task(write_and_tell(store, f"{n}", acknowledged)) for n in range(500)
            ]
            while not all(task.done() for task in tasks):
                for task in chance.sample(tasks, 20):
                    task.cancel()
                await asyncio.sleep(chance.choice((0, 0, 0.001, 0.005)))
            assert any(task.cancelled() for task in tasks)
            await inspect(store, acknowledged)
        async with SQLiteStore(path) as store:
            await inspect(store, acknowledged)

    run(main)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_storm_of_cancelled_scopes_loses_nothing(path, backend):
    """Callers run out of time at any moment."""

    async def main():
        chance = random.Random(2)
        acknowledged = {}

        async def hurried(store, seller):
            with anyio.move_on_after(chance.choice((0, 0.001, 0.01, 0.1, 30))):
                await write_and_tell(store, seller, acknowledged)

        async with SQLiteStore(path) as store:
            async with anyio.create_task_group() as tasks:
                for n in range(500):
                    tasks.start_soon(hurried, store, f"{n}")
            await inspect(store, acknowledged)

    run(main, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_write_whose_caller_is_cancelled_is_made_all_the_same(path, backend):
    """The pair it holds would be lost otherwise."""

    async def main():
        async with SQLiteStore(path) as store:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await store.put(record())
            assert scope.cancelled_caught
            with anyio.fail_after(60):
                while await store.get(SCOPE, "1001") is None:
                    await anyio.sleep(0)

    run(main, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cancelled_claim_leases_nothing(path, backend):
    """Nobody would know of the lease, and the seller would wait for its end."""

    async def main():
        async with SQLiteStore(path) as store:
            kept = await store.put(record(due_at=PAST))
            for _ in range(20):
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await store.claim(SCOPE, due_by=PAST, limit=9, holder="a", seconds=600)
            found = await store.claim(SCOPE, due_by=PAST, limit=9, holder="b", seconds=600)
            assert found == [kept]

    run(main, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_store_serves_one_event_loop_after_another(path, backend):
    """Nothing in it is bound to the first."""
    store = SQLiteStore(path)
    for n in range(3):

        async def main(n=n):
            await store.put(record(f"{n}"))
            return len([one async for one in store.records(SCOPE)])

        assert run(main, backend) == n + 1
    run(store.aclose, backend)


def test_an_event_loop_that_ends_in_the_middle_of_a_write_does_no_harm(path, monkeypatch):
    """Its writes are made, and the next event loop finds a store that works."""
    store = SQLiteStore(path)
    begin = _sessions.Writer._begin

    def slowly(self):
        time.sleep(0.1)
        return begin(self)

    async def hasty():
        for n in range(5):
            asyncio.get_running_loop().create_task(store.put(record(f"{n}")))
        await asyncio.sleep(0.02)

    with monkeypatch.context() as patch:
        patch.setattr(_sessions.Writer, "_begin", slowly)
        asyncio.run(hasty())
        trio.run(store.put, record("trio"))

    async def look():
        return {one.seller_id async for one in store.records(SCOPE)}

    assert run(look) == {"0", "1", "2", "3", "4", "trio"}
    run(store.aclose)


def test_event_loops_in_several_threads_share_a_store(path):
    """asyncio and trio among them."""
    store = SQLiteStore(path)
    failures = []

    def thread(n):
        try:
            run(lambda: count_up(store, f"{n}", 20), BACKENDS[n % 2])
        except Exception as error:  # noqa: BLE001 - the test fails with it
            failures.append(error)

    threads = [threading.Thread(target=thread, args=(n,)) for n in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not failures

    async def look():
        found = [one.generation async for one in store.records(SCOPE)]
        await store.aclose()
        return found

    assert run(look) == [21] * 6


@pytest.mark.parametrize("backend", BACKENDS)
def test_writes_that_wait_together_are_committed_together(path, backend, monkeypatch):
    """A hundred writers cost a few commits, and none of them waits for more than two."""
    commits = []
    serve = _sessions.Writer.serve

    def counted(self, jobs):
        commits.append(len(jobs))
        serve(self, jobs)

    async def main():
        async with SQLiteStore(path) as store:
            monkeypatch.setattr(_sessions.Writer, "serve", counted)
            async with anyio.create_task_group() as tasks:
                for n in range(100):
                    tasks.start_soon(count_up, store, f"{n}", 10)

    run(main, backend)
    assert sum(commits) == 1_100
    assert len(commits) < 110


@pytest.mark.parametrize("backend", BACKENDS)
def test_closing_finishes_what_was_asked_for(path, backend):
    """And ends the threads; whoever comes later is told."""

    async def main():
        store = SQLiteStore(path)
        await store.get(SCOPE, "1001")
        assert stores_threads(path)
        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(store.put, record(f"{n}"))
            await anyio.sleep(0)
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(store.aclose)
            tasks.start_soon(store.aclose)
        assert not stores_threads(path)
        for attempt in (store.put(record()), store.get(SCOPE, "1"), store.next_due(SCOPE)):
            with pytest.raises(StoreError, match="this store is closed; make a new one"):
                await attempt
        await store.aclose()
        async with SQLiteStore(path) as again:
            assert len([one async for one in again.records(SCOPE)]) == 50

    run(main, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_closing_while_cancelled_closes(path, backend):
    """The log is folded into the file, and no thread is left."""

    async def main():
        store = SQLiteStore(path)
        await store.put(record())
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.aclose()

    run(main, backend)
    assert not stores_threads(path)
    assert [file.name for file in path.parent.iterdir()] == ["tokens.db"]


def test_a_store_is_entered_once(path):
    """Its owner closes it once."""

    async def main():
        async with SQLiteStore(path) as store:
            with pytest.raises(RuntimeError, match="entered before"):
                await store.__aenter__()
            await store.put(record())

    run(main)


def test_entering_shows_what_is_wrong_at_once(path):
    """And leaves no thread behind."""
    path.write_bytes(b"garbage")

    async def main():
        async with SQLiteStore(path):
            pass

    with pytest.raises(StoreError, match="damaged"):
        run(main)
    assert not stores_threads(path)


def test_a_forgotten_store_ends_its_threads(path):
    """Whoever does not close it loses nothing but time."""

    async def main():
        store = SQLiteStore(path)
        await store.put(record())
        await store.get(SCOPE, "1001")
        return weakref.ref(store), stores_threads(path)

    forgotten, threads = run(main)
    assert len(threads) == 2
    gc.collect()
    assert forgotten() is None
    for thread in threads:
        thread.join(5)
    assert not stores_threads(path)

    async def look():
        async with SQLiteStore(path) as store:
            return await store.get(SCOPE, "1001")

    assert run(look) is not None


def test_readers_do_not_queue_behind_writers(path, monkeypatch):
    """A read goes on while a write is held up."""
    held, go_on = threading.Event(), threading.Event()
    begin = _sessions.Writer._begin

    def hold(self):
        db = begin(self)
        held.set()
        go_on.wait(10)
        return db

    async def main():
        async with SQLiteStore(path) as store:
            kept = await store.put(record())
            monkeypatch.setattr(_sessions.Writer, "_begin", hold)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(store.put, evolve(kept, body=b"new"))
                await anyio.to_thread.run_sync(held.wait)
                with anyio.fail_after(60):
                    assert await store.get(SCOPE, "1001") == kept
                    assert await store.next_due(SCOPE) is None
                go_on.set()

    run(main)


async def test_trio_may_be_the_guest_of_asyncio(path):
    """In one thread there are two event loops then, and each wakes its own tasks."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    async with SQLiteStore(path) as store:

        async def guest():
            return [await store.put(record(f"guest {n}")) for n in range(20)]

        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=ended.set_result,
        )
        hosts = [await store.put(record(f"host {n}")) for n in range(20)]
        guests = (await ended).unwrap()
        assert len([one async for one in store.records(SCOPE)]) == len(hosts + guests) == 40
