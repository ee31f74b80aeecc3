"""Connections to a server that die without a word: a keeper does not wait for them for ever."""

import gateway_setup
import pytest
from host_processes import HostProcesses
from shared_stores import SERVERS, shared_store

from iop_async.sandbox import running

HOSTS = ["host-0", "host-1"]


@pytest.mark.drill
@pytest.mark.parametrize("name", SERVERS)
def test_hosts_go_on_when_their_connections_died_silently(name, tmp_path):
    """As they do behind a firewall that has forgotten them: new ones work, the old ones hang."""
    sandbox = gateway_setup.new_sandbox(300)
    sandbox.fail("latency", api=gateway_setup.REFRESH, seconds=0.05, times=None)
    with (
        shared_store(name, tmp_path) as shared,
        running(sandbox) as url,
        HostProcesses(tmp_path, url, shared.url, concurrency=2) as hosts,
    ):
        gateway_setup.authorize_all(sandbox, url, shared)
        hosts.start(*HOSTS)
        presented = sandbox.ledger.refreshes
        gateway_setup.wait_until(lambda: len(presented) >= 20, 60, "nothing was refreshed")
        shared.cut("strand")
        shared.mend()
        gateway_setup.wait_until(lambda: len(presented) >= 300, 150, "they wait for ever")
        hosts.stop(*HOSTS)
        kept = {seller: one["token"] for seller, one in gateway_setup.stored(shared).items()}
    assert kept == gateway_setup.live(sandbox)
    assert len(presented) == 300
