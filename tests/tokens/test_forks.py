"""Processes that are forked after the manager was made, as servers do that load the app first."""

import subprocess
import sys
from pathlib import Path

from tokens_scenario import MONTH, REFRESH, Scenario

DRIVER = Path(__file__).parent / "fork_driver.py"


async def authorized(scenario: Scenario, *sellers: str) -> None:
    async with scenario.manager(scope="forks") as tokens:
        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
    scenario.clock.advance(MONTH - 600)


def drive(scenario: Scenario, role: str) -> list[str]:
    """What the workers print, once all of them have ended well."""
    done = subprocess.run(
        [sys.executable, str(DRIVER), scenario.url, str(scenario.path), role],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


async def test_forked_workers_that_refresh_one_seller_at_once_present_its_token_once(scenario):
    """They are different holders, although one manager was made for all of them."""
    await authorized(scenario, "1001")
    scenario.sandbox.fail("latency", api=REFRESH, seconds=0.5)
    served = drive(scenario, "explicit")
    assert served == [scenario.live().refresh_token] * 3
    assert scenario.presented() == 1


async def test_the_keepers_of_forked_workers_share_what_is_due(scenario):
    """Each worker has one, and each seller is refreshed once."""
    scenario.sandbox.add_sellers(30)
    await authorized(scenario, *scenario.sandbox.sellers)
    drive(scenario, "keepers")
    assert scenario.presented() == 33
    tokens = [entry.token for entry in scenario.sandbox.ledger.refreshes]
    assert len(set(tokens)) == 33


async def test_a_child_forked_in_the_middle_of_a_refresh_does_not_share_it(scenario):
    """It must enter the manager anew, and then adopts what its parent's refresh brings."""
    await authorized(scenario, "1001")
    scenario.sandbox.fail("latency", api=REFRESH, seconds=1)
    drive(scenario, "running")
    assert scenario.presented() == 1
