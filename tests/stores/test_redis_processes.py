"""Several processes on one Redis server, and processes that die."""

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from redis_servers import own_server
from store_helpers import SCOPE, child, record

from iop_async.stores._redis import RedisStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


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


async def test_four_processes_share_a_server(tmp_path):
    """No record is claimed twice, no claim is left out, no write is lost."""
    due_at = datetime.now(UTC) - timedelta(minutes=1)
    names = ("a", "b", "c", "d")
    with own_server(tmp_path) as server:
        async with RedisStore(server.url) as store:
            await store.put(record("shared", generation=0))
            for n in range(200):
                await store.put(record(f"{n}", due_at=due_at))
            claimed = together(*(child("work", server.url, name) for name in names))
            assert sorted(chain.from_iterable(claimed)) == sorted(f"{n}" for n in range(200))
            assert (await store.get(SCOPE, "shared")).generation == 100
            for name in names:
                assert (await store.get(SCOPE, f"own {name}")).generation == 26


def kill_writers(directory, times):
    with own_server(directory) as server:
        (acknowledged,) = together(child("killed", server.url, times))
    assert all(acknowledged.values())


def test_a_killed_process_leaves_every_acknowledged_write(tmp_path):
    """And no half record, wherever in a write it died."""
    kill_writers(tmp_path, 10)


@pytest.mark.drill
def test_a_process_killed_many_times_leaves_every_acknowledged_write(tmp_path):
    """Two hundred times over."""
    kill_writers(tmp_path, 200)
