"""Several processes, one store, nothing goes wrong: every grant is refreshed once."""

from collections import Counter

import market
import pytest
from crew import Crew
from places import NAMES, place

from iop_async.sandbox import running


@pytest.fixture(params=NAMES)
def there(request, tmp_path):
    """Each kind of store in turn."""
    with place(request.param, tmp_path) as made:
        yield made


def _refresh_all(there, tmp_path, capsys, *, hosts, sellers, **manager):
    """Let hosts refresh all sellers; what they noted."""
    sandbox = market.open_market(sellers)
    sandbox.fail("latency", api=market.REFRESH, seconds=0.05, times=None)
    names = [f"host-{n}" for n in range(hosts)]
    with running(sandbox) as url, Crew(tmp_path, url, there.url, **manager) as crew:
        market.authorize_all(sandbox, url, there)
        crew.start(*names)
        presented = sandbox.ledger.refreshes
        market.wait_until(lambda: len(presented) >= sellers, 300, "not all were refreshed")
        crew.end(*names)
        noted = crew.notes()
    shares = Counter(note["pid"] for note in noted if note["kind"] == "sending")
    with capsys.disabled():
        print(f"\n{len(presented)} presented by {hosts} hosts: {sorted(shares.values())}")
    assert len(presented) == sellers
    assert all(entry.accepted for entry in presented)
    kept = market.stored(there)
    assert {seller: one["token"] for seller, one in kept.items()} == market.live(sandbox)
    assert not any(one["is_open"] for one in kept.values())
    assert len(shares) == hosts


def test_hosts_share_what_is_due_and_present_each_token_once(there, tmp_path, capsys):
    """Each does some of it, and what they store is what the gateway takes."""
    _refresh_all(there, tmp_path, capsys, hosts=3, sellers=60, concurrency=1)


@pytest.mark.drill
def test_eight_hosts_share_two_thousand_sellers(there, tmp_path, capsys):
    """Each does some of it, and what they store is what the gateway takes."""
    _refresh_all(there, tmp_path, capsys, hosts=8, sellers=2_000, concurrency=5)
