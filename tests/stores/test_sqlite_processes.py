"""Several processes on one file, and processes that die."""

import asyncio
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from store_helpers import SCOPE, child, filled, record, run

from iop_async.stores import SQLiteStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


def together(*commands):
    """Run child processes at the same time; what each of them answered."""
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for command in commands
    ]
    answers = []
    for one in children:
        out, error = one.communicate(timeout=300)
        assert one.returncode == 0, error.decode()
        answers.append(json.loads(out))
    return answers


def integrity(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA integrity_check").fetchone()


def test_four_processes_share_a_file(path):
    """No record is claimed twice, no claim is left out, no write is lost."""
    due_at = datetime.now(UTC) - timedelta(minutes=1)

    async def fill():
        async with SQLiteStore(path) as store:
            await store.put(record("shared", generation=0))
            for n in range(200):
                await store.put(record(f"{n}", due_at=due_at))

    run(fill)
    names = ("a", "b", "c", "d")
    claimed = together(*(child("work", path, name) for name in names))
    assert sorted(chain.from_iterable(claimed)) == sorted(f"{n}" for n in range(200))

    async def look():
        async with SQLiteStore(path) as store:
            shared = await store.get(SCOPE, "shared")
            own = [await store.get(SCOPE, f"own {name}") for name in names]
            return shared.generation, [one.generation for one in own]

    assert run(look) == (100, [26] * 4)
    assert integrity(path) == ("ok",)


def kill_writers(path, times):
    (acknowledged,) = together(child("killed", path, times))
    assert all(acknowledged.values())
    assert integrity(path) == ("ok",)


def test_a_killed_process_leaves_every_acknowledged_write(path):
    """And no half record, wherever in a write it died."""
    kill_writers(path, 30)


@pytest.mark.drill
def test_a_process_killed_many_times_leaves_every_acknowledged_write(path):
    """Two hundred times over."""
    kill_writers(path, 200)


def test_a_process_killed_while_it_makes_the_store_leaves_none_or_a_whole_one(path):
    """The next one begins, and is not stopped by half a file."""
    (found,) = together(child("killed_at_birth", path, 40))
    assert len(found) == 40


def test_parent_and_child_of_a_fork_use_a_store(path):
    """Neither loses a write, although the parent closes the file while the child goes on."""
    assert together(child("forked", path)) == [0]

    async def look():
        async with SQLiteStore(path) as store:
            return {one.seller_id async for one in store.records(SCOPE)}

    assert run(look) == {"before", "parent", "child", "child, after the parent closed"}
    assert integrity(path) == ("ok",)


def test_a_fork_that_nobody_announced_is_refused(path):
    """Working on would lose writes, because the locks of the parent are not the child's."""
    (said,) = together(child("forked_silently", path))
    assert said.startswith(f"{path}: this process was forked from one that was using the store")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_goes_by_a_store_in_use(path):
    """Writes that are under way are finished, and the store goes on afterwards."""

    async def main():
        loop = asyncio.get_running_loop()
        async with SQLiteStore(path) as store:
            writes = [loop.create_task(store.put(record(f"{n}"))) for n in range(100)]
            for _ in range(5):
                await asyncio.sleep(0.002)
                process = os.fork()
                if not process:
                    os._exit(0)
                os.waitpid(process, 0)
            await asyncio.gather(*writes)
            return len([one async for one in store.records(SCOPE)])

    assert asyncio.run(main()) == 100
    assert integrity(path) == ("ok",)


def test_a_subprocess_is_no_fork(path):
    """Starting another program leaves the store alone."""

    async def main():
        async with SQLiteStore(path) as store:
            await store.put(record())
            connection = store._writer._resource._db
            subprocess.run(["true"], check=True)
            await store.put(record("2"))
            assert store._writer._resource._db is connection

    run(main)
    assert run(lambda: filled(path.with_name("other.db")))
