"""A host that only reads: it waits for what others refresh, and presents nothing itself."""

import gateway_setup
import pytest
from host_processes import HostProcesses
from shared_stores import NAMES, shared_store

from iop_async.sandbox import running


@pytest.mark.parametrize("name", NAMES)
def test_a_follower_waits_for_its_peers_and_presents_nothing(name, tmp_path):
    """It is asked for tokens that are over, before anybody is there who may refresh them."""
    sandbox = gateway_setup.new_sandbox(20)
    with (
        shared_store(name, tmp_path) as shared,
        running(sandbox) as url,
        HostProcesses(tmp_path, url, shared.url, concurrency=2) as hosts,
    ):
        gateway_setup.authorize_all(sandbox, url, shared, is_over=True)
        hosts.start("follower", role="follower", asks=sandbox.sellers)
        follower = hosts.pids["follower"]
        hosts.start("peer-0", "peer-1")
        gateway_setup.wait_until(
            lambda: len(_served(hosts)) == 20, 120, "the follower gets no tokens"
        )
        hosts.stop("follower", "peer-0", "peer-1")
    assert {note["seller"]: note["token"] for note in _served(hosts)} == gateway_setup.live(sandbox)
    assert {note["pid"] for note in _served(hosts)} == {follower}
    sent = [note for note in hosts.notes() if note["kind"] == "sending"]
    assert len(sent) == len(sandbox.ledger.refreshes) == 20
    assert follower not in {note["pid"] for note in sent}


def _served(hosts):
    return [note for note in hosts.notes() if note["kind"] == "served"]
