"""Everything fails at once: no grant is lost silently, and no spent token is presented again.

A storm prints its seed first, whatever becomes of it. To repeat that storm::

    STORM_SEED=7 python -m pytest -m drill "tests/hosts/test_storm.py" -k postgresql
"""

import os
import random
import time

import gateway_setup
import pytest
from host_processes import HostProcesses
from judge import Case, count
from shared_stores import NAMES, shared_store
from storm import LEASE, Storm

from iop_async.sandbox import running

DAY = 86400
HOSTS = [f"host-{n}" for n in range(8)]


@pytest.mark.drill
@pytest.mark.alone
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the killed hosts'
@pytest.mark.parametrize("name", NAMES)
def test_a_storm_over_eight_hosts_loses_no_grant_silently(name, tmp_path, capsys):
    """Killed, paused, restarted, cut off: the gateway's ledger judges what is left."""
    seed = int(os.environ.get("STORM_SEED", "1"))
    with capsys.disabled():
        print(f"\n{name}, STORM_SEED={seed}: ", end="", flush=True)
        counts = _run(name, tmp_path, seed, sellers=2_000, seconds=60)
        print(", ".join(f"{n} {what}" for what, n in counts.items()))
    assert counts["silently lost"] == 0
    assert counts["lost without a kill"] == 0
    assert counts["spent tokens presented again"] == 0
    assert counts["false alarms"] == 0


def _run(name, tmp_path, seed, *, sellers, seconds):
    sandbox = gateway_setup.new_sandbox(sellers, access_seconds=seconds * 0.8)
    sandbox.fail("latency", api=gateway_setup.REFRESH, seconds=0.1, times=None)
    with shared_store(name, tmp_path) as shared, running(sandbox) as url:
        gateway_setup.authorize_all(sandbox, url, shared)
        with HostProcesses(tmp_path, url, shared.url, lease_seconds=LEASE, concurrency=5) as hosts:
            hosts.start(*HOSTS)
            storm = Storm(hosts, shared, random.Random(seed))
            storm.run(seconds)
            sandbox.grants.access_seconds = 30 * DAY
            hosts.stop(*HOSTS)
            hosts.start(*HOSTS, lease_seconds=15.0)
            gateway_setup.wait_until(lambda: _is_settled(shared, hosts), 600, "it does not settle")
            hosts.stop(*HOSTS)
        case = Case(
            ledger=sandbox.ledger.refreshes,
            live=gateway_setup.live(sandbox),
            stored=gateway_setup.stored(shared),
            notes=hosts.notes(),
            killed=hosts.killed,
            pauses=hosts.pauses,
        )
    return {**count(case), "restarts": storm.restarts, "cuts": storm.cuts}


def _is_settled(shared, hosts):
    """True where everybody has a long-lived token, or was reported, and no journal holds any."""
    if any(path.exists() and path.stat().st_size for path in map(hosts.journal, HOSTS)):
        return False
    soon = time.time() + DAY
    return all(
        one["state"] != "live" or (not one["is_open"] and one["expires_at"] > soon)
        for one in gateway_setup.stored(shared).values()
    )
