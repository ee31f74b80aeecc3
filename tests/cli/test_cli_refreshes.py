"""Refreshes from the command line lose nothing: beside one another, ended, and killed."""

import os
import signal
import subprocess
import time

import pytest
from cli_helpers import COMMAND, KEY
from test_cli_tokens import tokens_of

from iop_async.sandbox import digest


@pytest.fixture
def kept(shop):
    shop.sandbox.add_sellers(20)
    sellers = list(shop.sandbox.sellers)
    shop.approve(*sellers)
    return shop


def started(shop, *arguments):
    return subprocess.Popen(
        [*COMMAND, "tokens", "refresh", *arguments],
        env={**os.environ, **shop.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lost(shop):
    """The sellers whose live pair is not in the store: by the gateway's own books."""
    stored = {seller: digest(token.refresh_token) for seller, token in tokens_of(shop).items()}
    live = {
        seller: digest(shop.sandbox.grants.live_pair(KEY, seller).refresh_token)
        for seller in shop.sandbox.sellers
    }
    return {seller for seller in live if live[seller] != stored[seller]}


def test_two_that_refresh_everybody_at_once_present_no_token_twice(kept):
    """Of each seller one waits for the other; nobody is refused."""
    kept.sandbox.fail("latency", seconds=0.1, api="/auth/token/refresh", times=None)
    with started(kept, "--all") as one, started(kept, "--all") as two:
        for process in (one, two):
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
    presented = [entry.token for entry in kept.sandbox.ledger.refreshes]
    assert len(presented) == len(set(presented))
    assert all(entry.accepted for entry in kept.sandbox.ledger.refreshes)
    assert lost(kept) == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_refreshes_under_way_end(kept, number):
    """What the gateway gave by then is in the store; what was not begun is not."""
    kept.sandbox.fail("latency", seconds=1, api="/auth/token/refresh", times=None)
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    with started(kept, "--all") as process:
        signal.signal(signal.SIGINT, ignored)
        deadline = time.monotonic() + 60
        while not kept.sandbox.faults.rules[0].hits:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"ended by {number.name}" in err
    assert "Traceback" not in err
    assert kept.sandbox.ledger.refreshes
    assert lost(kept) == set()


def test_a_killed_refresh_is_told_of_by_an_audit_and_taken_up(kept):
    """Its intents are in the store: the next one asks the gateway, and says who is lost."""
    kept.sandbox.fail("latency", seconds=3, api="/auth/token/refresh", times=None)
    with started(kept, "1001", "1002") as process:
        deadline = time.monotonic() + 60
        while kept.sandbox.faults.rules[0].hits < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    found = kept.invoke("tokens", "audit", "--json").document["findings"]
    assert {(each["kind"], each["seller_id"]) for each in found} == {
        ("unanswered", "1001"),
        ("unanswered", "1002"),
    }
    listed = kept.invoke("tokens", "list", "--state", "unanswered", "--json").document
    assert listed["total"] == 2
