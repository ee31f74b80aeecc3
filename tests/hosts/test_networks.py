"""Connections to a server that die without a word: a keeper does not wait for them for ever."""

import market
import pytest
from crew import Crew
from places import SERVERS, place

from iop_async.sandbox import running

HOSTS = ["host-0", "host-1"]


@pytest.mark.drill
@pytest.mark.parametrize("name", SERVERS)
def test_hosts_go_on_when_their_connections_died_silently(name, tmp_path):
    """As they do behind a firewall that has forgotten them: new ones work, the old ones hang."""
    sandbox = market.open_market(300)
    sandbox.fail("latency", api=market.REFRESH, seconds=0.05, times=None)
    with (
        place(name, tmp_path) as there,
        running(sandbox) as url,
        Crew(tmp_path, url, there.url, concurrency=2) as crew,
    ):
        market.authorize_all(sandbox, url, there)
        crew.start(*HOSTS)
        presented = sandbox.ledger.refreshes
        market.wait_until(lambda: len(presented) >= 20, 60, "nothing was refreshed")
        there.cut("strand")
        there.mend()
        market.wait_until(lambda: len(presented) >= 300, 150, "they wait for ever")
        crew.end(*HOSTS)
        kept = {seller: one["token"] for seller, one in market.stored(there).items()}
    assert kept == market.live(sandbox)
    assert len(presented) == 300
