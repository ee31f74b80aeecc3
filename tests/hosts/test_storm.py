"""Everything goes wrong at once: no grant is lost silently, and no spent token presented again."""

import os
import random
import time

import market
import pytest
from crew import Crew
from judge import Case, count
from places import NAMES, place
from storm import LEASE, Storm

from iop_async.sandbox import running

DAY = 86400
HOSTS = [f"host-{n}" for n in range(8)]


@pytest.mark.drill
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the killed hosts'
@pytest.mark.parametrize("name", NAMES)
def test_a_storm_over_eight_hosts_loses_no_grant_silently(name, tmp_path, capsys):
    """Killed, frozen, restarted, cut off: the gateway judges what is left."""
    seed = int(os.environ.get("STORM_SEED", "1"))
    counts = _weather(name, tmp_path, seed, sellers=2_000, seconds=60)
    with capsys.disabled():
        print(f"\n{name}, seed {seed}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    assert counts["silently lost"] == 0
    assert counts["lost without a kill"] == 0
    assert counts["spent tokens presented again"] == 0
    assert counts["false alarms"] == 0


def _weather(name, tmp_path, seed, *, sellers, seconds):
    sandbox = market.open_market(sellers, access_seconds=seconds * 0.8)
    sandbox.fail("latency", api=market.REFRESH, seconds=0.1, times=None)
    chance = random.Random(seed)
    with place(name, tmp_path) as there, running(sandbox) as url:
        market.authorize_all(sandbox, url, there)
        with Crew(tmp_path, url, there.url, lease_seconds=LEASE, concurrency=5) as crew:
            crew.start(*HOSTS)
            storm = Storm(crew, there, chance)
            storm.rage(seconds)
            sandbox.grants.access_seconds = 30 * DAY
            crew.end(*HOSTS)
            crew.start(*HOSTS, lease_seconds=15.0)
            market.wait_until(lambda: _is_settled(there, crew), 240, "it does not settle")
            crew.end(*HOSTS)
        case = Case(
            ledger=sandbox.ledger.refreshes,
            live=market.live(sandbox),
            stored=market.stored(there),
            notes=crew.notes(),
            killed=crew.killed,
            pauses=crew.pauses,
        )
    return {**count(case), "restarts": storm.restarts, "cuts": storm.cuts}


def _is_settled(there, crew):
    """Whether everybody has a long-lived token, or was reported, and no journal holds any."""
    if any(path.exists() and path.stat().st_size for path in map(crew.journal, HOSTS)):
        return False
    soon = time.time() + DAY
    return all(
        one["state"] != "live" or (not one["is_open"] and one["expires_at"] > soon)
        for one in market.stored(there).values()
    )
