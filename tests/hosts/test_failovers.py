"""Four hosts refresh three hundred sellers while the servers beneath them change."""

import asyncio
import time
from collections import Counter
from types import SimpleNamespace

import gateway_setup
import pytest
import redis
from galera_servers import own_galera
from host import SCOPE
from host_processes import HostProcesses
from redis_servers import own_cluster, own_guarded

from iop_async.sandbox import running
from iop_async.stores import from_url
from iop_async.stores._redis import _scripts

pytestmark = [pytest.mark.drill, pytest.mark.alone]

SELLERS = 300
NAMES = [f"host-{n}" for n in range(4)]


def _refresh_all(url, tmp_path, trouble, *, other=None, **manager):
    """Refresh all sellers, with trouble when a third of them are; each token is good once.

    Args:
        other: URL by which half of the hosts reach the store.
        manager: options of every token manager.
    """
    shared = SimpleNamespace(near=url)
    sandbox = gateway_setup.new_sandbox(SELLERS)
    sandbox.fail("latency", api=gateway_setup.REFRESH, seconds=0.2, times=None)
    manager = {"concurrency": 5, **manager}
    with running(sandbox) as gateway, HostProcesses(tmp_path, gateway, url, **manager) as hosts:
        gateway_setup.authorize_all(sandbox, gateway, shared)
        hosts.start(*NAMES[:2])
        hosts.start(*NAMES[2:], store=other)
        presented = sandbox.ledger.refreshes
        gateway_setup.wait_until(lambda: len(presented) >= SELLERS // 3, 60, "a third is done")
        assert len(presented) < SELLERS  # else nothing is shown
        trouble()
        gateway_setup.wait_until(lambda: not _unsettled(sandbox, shared), 240, "all is settled")
        hosts.stop(*NAMES)
    accepted = Counter(entry.seller for entry in presented if entry.accepted)
    assert accepted == dict.fromkeys(sandbox.sellers, 1)
    assert not _lost(sandbox, gateway_setup.stored(shared))
    assert len(presented) == SELLERS


def _lost(sandbox, kept):
    live = gateway_setup.live(sandbox)
    return {seller for seller, token in live.items() if kept[seller]["token"] != token}


def _unsettled(sandbox, shared):
    """Sellers that are neither refreshed, with their pair stored, nor told to be refused."""
    kept = gateway_setup.stored(shared)
    refreshed = {entry.seller for entry in sandbox.ledger.refreshes if entry.accepted}
    told = {s for s, one in kept.items() if one["is_refused"] or one["state"] != "live"}
    is_open = {seller for seller, one in kept.items() if one["is_open"]}
    return (set(kept) - refreshed) | ((_lost(sandbox, kept) | is_open) - told)


def test_a_planned_failover_loses_no_grant(tmp_path):
    """As for maintenance: the old master runs on, and takes writes that its replica misses."""
    with own_guarded(tmp_path) as guarded:
        old = guarded.master()

        def trouble():
            guarded.fail_over()
            gateway_setup.wait_until(lambda: guarded.master() not in (None, old), 60, "failover")

        _refresh_all(guarded.url, tmp_path, trouble)


def test_a_master_that_stood_still_for_six_seconds_loses_no_grant(tmp_path):
    """A Sentinel has put another in its place when it goes on, and that one has a replica too."""
    with own_guarded(tmp_path, replicas=2) as guarded:
        old = guarded.master()

        def trouble():
            old.pause()
            time.sleep(6)
            old.resume()

        _refresh_all(guarded.url, tmp_path, trouble)


def test_a_slot_that_is_moved_loses_no_grant(tmp_path):
    """All keys of the scope go to another master, one after the other, as operators' tools do."""
    with own_cluster(tmp_path) as servers:
        url = f"redis+cluster://127.0.0.1:{servers[0].port}"
        keys = _scripts.keys_of("iop", SCOPE)
        slot = redis.crc.key_slot(keys[0])

        def trouble():
            ranges = servers[0].client().execute_command("CLUSTER SLOTS")
            (port,) = [one[2][1] for one in ranges if one[0] <= slot <= one[1]]
            (source,) = [one for one in servers if one.port == port]
            target = next(one for one in servers if one is not source)
            here, there = source.client(), target.client()
            ids = [one.execute_command("CLUSTER MYID").decode() for one in (here, there)]
            there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
            here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])
            time.sleep(2)  # the hosts go on
            for key in keys:
                here.migrate("127.0.0.1", target.port, key, 0, 5000)
            for one in (target, source, *servers):
                one.client().execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])

        _refresh_all(url, tmp_path, trouble)


def test_a_node_of_galera_that_is_killed_and_comes_back_loses_no_grant(tmp_path):
    """Half of the hosts write to it, and their pairs wait in journals until it is back."""
    with own_galera() as (first, second):

        async def create():
            store = from_url(first.url)
            await store.create_tables()
            await store.aclose()

        def trouble():
            second.kill()
            second.start()
            second.wait_until_ready()

        asyncio.run(create())
        # longer than it is gone: whoever has a pair in his journal is not dead
        _refresh_all(first.url, tmp_path, trouble, other=second.url, lease_seconds=120)
