"""A host that only reads: it waits for what others refresh, and presents nothing itself."""

import market
import pytest
from crew import Crew
from places import NAMES, place

from iop_async.sandbox import running


@pytest.mark.parametrize("name", NAMES)
def test_a_follower_waits_for_its_peers_and_presents_nothing(name, tmp_path):
    """It is asked for tokens that are over, before anybody is there who may refresh them."""
    sandbox = market.open_market(20)
    with (
        place(name, tmp_path) as there,
        running(sandbox) as url,
        Crew(tmp_path, url, there.url, concurrency=2) as crew,
    ):
        market.authorize_all(sandbox, url, there, is_over=True)
        crew.start("follower", role="follower", asks=sandbox.sellers)
        follower = crew.pids["follower"]
        crew.start("peer-0", "peer-1")
        market.wait_until(lambda: len(_served(crew)) == 20, 120, "the follower gets no tokens")
        crew.end("follower", "peer-0", "peer-1")
    assert {note["seller"]: note["token"] for note in _served(crew)} == market.live(sandbox)
    assert {note["pid"] for note in _served(crew)} == {follower}
    sent = [note for note in crew.notes() if note["kind"] == "sending"]
    assert len(sent) == len(sandbox.ledger.refreshes) == 20
    assert follower not in {note["pid"] for note in sent}


def _served(crew):
    return [note for note in crew.notes() if note["kind"] == "served"]
