"""What is said about a server that does not keep what it acknowledges."""

import asyncio
import logging
import time

import pytest
import redis.asyncio
from redis_servers import own_server
from store_helpers import SCOPE, record

from iop_async.stores._redis import RedisStore
from iop_async.stores._redis._settings import weaknesses


async def said_about(server, caplog, **options):
    caplog.clear()
    async with RedisStore(options.get("url", server.url)) as store:
        kept = await store.put(record())
        assert await store.get(SCOPE, "1001") == kept
    mine = [one for one in caplog.records if one.name == "iop_async.stores"]
    assert all(one.levelno == logging.WARNING for one in mine)
    return [one.getMessage() for one in mine]


async def test_a_server_that_keeps_nothing_is_warned_about_once(tmp_path, caplog):
    """With what to do about it."""
    with own_server(tmp_path) as server:
        (said,) = await said_about(server, caplog)
    assert said.startswith(f"redis://127.0.0.1:{server.port}/0: it keeps nothing on disk")
    assert "set appendonly yes" in said


@pytest.mark.parametrize(
    "options",
    [
        ("--appendonly", "yes", "--appendfsync", "always"),
        ("--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"),
        # the last of two settings counts, and no limit means that nothing is evicted
        ("--save", "60 1", "--maxmemory-policy", "allkeys-lru"),
    ],
    ids=["append-only", "evicts only what expires", "snapshots, no limit"],
)
async def test_a_server_that_keeps_what_it_has_is_not_warned_about(tmp_path, caplog, options):
    """A warning that is always there is none."""
    with own_server(tmp_path, *options) as server:
        assert await said_about(server, caplog) == []


async def test_a_server_that_may_evict_is_warned_about(tmp_path, caplog):
    """A grant that was evicted looks like one that never was."""
    options = ("--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with own_server(tmp_path, *options) as server:
        (said,) = await said_about(server, caplog)
    assert "may evict grants when its memory is full (maxmemory-policy allkeys-lru)" in said


@pytest.mark.parametrize("hidden", ["config", "info"])
async def test_a_server_that_does_not_tell_is_used_all_the_same(tmp_path, caplog, hidden):
    """Managed ones forbid CONFIG; what INFO says of them is enough for a warning."""
    rule = ("--user", "app", "on", ">pw", "~*", "+@all", "-config", f"-{hidden}")
    with own_server(tmp_path, *rule) as server:
        said = await said_about(server, caplog, url=f"redis://app:pw@127.0.0.1:{server.port}/0")
    assert len(said) == (hidden == "config")
    assert all("it keeps no append-only file" in one for one in said)


def test_what_is_not_known_is_not_held_against_a_server():
    """An answer of a proxy may hold anything, or nothing."""
    assert weaknesses({}, None) == []
    assert weaknesses({"loading": 1, "aof_enabled": 0}, "") == []
    assert len(weaknesses({"loading": 0, "aof_enabled": 0}, "")) == 1


def test_replicas_that_nobody_waits_for_are_warned_about():
    """Where there are some, and no Sentinel tells the store to wait for them."""
    kept = {"aof_enabled": 1, "connected_slaves": 0}
    (said,) = weaknesses(kept | {"connected_slaves": 1}, "")
    assert "set min-replicas-to-write on every server to the number" in said
    assert weaknesses(kept | {"connected_slaves": 1}, "", is_guarded=True) == []
    two = kept | {"connected_slaves": 2}
    assert "(2)" in weaknesses(two, "", "1")[0]  # the other would do, and not take over
    assert weaknesses(two, "", "2") == []
    waits = kept | {"connected_slaves": 1, "min_slaves_good_slaves": 0}
    assert weaknesses(waits, "") == []


@pytest.mark.parametrize("waits", [True, False])
async def test_a_master_with_a_replica_is_looked_at(tmp_path, caplog, waits):
    """Its own settings tell, or what it says of its replicas."""
    (tmp_path / "replica").mkdir()
    options = ("--min-replicas-to-write", "1") if waits else ()
    with own_server(tmp_path, "--appendonly", "yes", *options) as master:
        follow = ("--replicaof", "127.0.0.1", str(master.port))
        with own_server(tmp_path / "replica", *follow), master.client() as client:
            until = time.monotonic() + 60
            while not [one for one in replicas_of(client) if one["state"] == "online"]:
                assert time.monotonic() < until
                await asyncio.sleep(0.05)
            said = await said_about(master, caplog)
    assert ["min-replicas-to-write" in one for one in said] == ([] if waits else [True])


def replicas_of(client):
    info = client.info("replication")
    return [info[f"slave{n}"] for n in range(info["connected_slaves"])]


async def test_every_tried_client_is_looked_at_once(tmp_path, caplog):
    """Not with every command, and not by each of its tasks."""
    with own_server(tmp_path) as server:
        client = redis.asyncio.Redis(port=server.port)
        async with client:
            store = RedisStore(client)
            for n in range(3):
                await store.put(record(f"{n}"))
            await store.aclose()
    assert [one.name for one in caplog.records].count("iop_async.stores") == 1
