"""Several processes, one store, no failures: every grant is refreshed once."""

from collections import Counter

import gateway_setup
import pytest
from host_processes import HostProcesses
from shared_stores import NAMES, shared_store

from iop_async.sandbox import running


@pytest.fixture(params=NAMES)
def shared(request, tmp_path):
    """Each kind of store in turn."""
    with shared_store(request.param, tmp_path) as made:
        yield made


def _refresh_all(shared, tmp_path, show, *, count, sellers, **manager):
    """Let so many hosts refresh all sellers, and check who presented what."""
    sandbox = gateway_setup.new_sandbox(sellers)
    sandbox.fail("latency", api=gateway_setup.REFRESH, seconds=0.05, times=None)
    names = [f"host-{n}" for n in range(count)]
    with running(sandbox) as url, HostProcesses(tmp_path, url, shared.url, **manager) as hosts:
        gateway_setup.authorize_all(sandbox, url, shared)
        hosts.start(*names)
        presented = sandbox.ledger.refreshes
        gateway_setup.wait_until(lambda: len(presented) >= sellers, 300, "not all were refreshed")
        hosts.stop(*names)
        noted = hosts.notes()
    shares = Counter(note["pid"] for note in noted if note["kind"] == "sending")
    show(f"{len(presented)} presented by {count} hosts: {sorted(shares.values())}")
    assert len(presented) == sellers
    assert all(entry.accepted for entry in presented)
    kept = gateway_setup.stored(shared)
    assert {seller: one["token"] for seller, one in kept.items()} == gateway_setup.live(sandbox)
    assert not any(one["is_open"] for one in kept.values())
    assert len(shares) == count


def test_hosts_share_what_is_due_and_present_each_token_once(shared, tmp_path, show):
    """Each does some of it, and what they store is what the gateway takes."""
    _refresh_all(shared, tmp_path, show, count=3, sellers=60, concurrency=1)


@pytest.mark.drill
def test_eight_hosts_share_two_thousand_sellers(shared, tmp_path, show):
    """Each does some of it, and what they store is what the gateway takes."""
    _refresh_all(shared, tmp_path, show, count=8, sellers=2_000, concurrency=5)
