"""Processes really killed: what the gateway considers live is stored, or its loss is reported."""

import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kill_driver import POINTS

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running
from iop_async.stores import SQLiteStore

DRIVER = Path(__file__).parent / "kill_driver.py"
SELLERS = 12


class Judge:
    """Compares what is stored with what is live, after every kill."""

    def __init__(self, sandbox, url, path):
        self.sandbox = sandbox
        self.client = iop.Client(iop.App("123456", "helloworld"), iop.gateways.Iop(url))
        self.store = SQLiteStore(path)
        self.manager = iop.TokenManager(self.client, self.store, keeper=False, scope="kills")
        self.kills = self.ambiguous = self.silently_lost = self.false_alarms = 0

    async def authorize(self, sellers):
        async with self.client, self.manager:
            for seller in sellers:
                await self.manager.authorize(self.sandbox.authorize(seller))

    async def inspect(self):
        """Count what is wrong; a seller whose loss was reported authorizes again."""
        reported = []
        async for record in self.store.records("kills"):
            body = json.loads(record.body)
            live = self.sandbox.grants.live_pair("123456", record.seller_id)
            is_live = body["token"]["refresh_token"] == live.refresh_token
            # Whoever was refused once is told of it at the second look, a minute later.
            if body["state"] != "live" or body["refused_at"] is not None:
                reported.append(record.seller_id)
                self.false_alarms += is_live
            elif not is_live and body["intent"] is None:
                self.silently_lost += 1
        self.ambiguous += len(reported)
        await self.authorize(reported)

    async def settled(self):
        """Wait until the gateway has done what the dead process asked of it."""
        before = -1
        while (now := len(self.sandbox.ledger.refreshes)) != before:
            before = now
            time.sleep(0.02)


def run_child(driver, point, chance):
    """``killed``, or ``ended 0`` where every seller had to authorize again before it was."""
    driver.stdin.write(f"{point} {chance.randint(1, 2 * SELLERS)}\n")
    driver.stdin.flush()
    return driver.stdout.readline().strip()


async def _kill(tmp_path, kills, seed, show):
    sandbox = Sandbox(apps=[SandboxApp("123456", "helloworld")], sellers=SELLERS)
    path = tmp_path / "tokens.db"
    chance = random.Random(seed)
    points = itertools.cycle([*POINTS, "random", "random"])
    with running(sandbox) as url:
        judge = Judge(sandbox, url, path)
        await judge.authorize(sandbox.sellers)
        command = [sys.executable, str(DRIVER), url, str(path), str(seed)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as driver:
            while judge.kills < kills:
                point = next(points)
                judge.kills += run_child(driver, point, chance) == "killed"
                await judge.settled()
                await judge.inspect()
            assert run_child(driver, "never", chance) == "ended 0"
            await judge.inspect()
            driver.stdin.close()
        async for record in judge.store.records("kills"):
            live = sandbox.grants.live_pair("123456", record.seller_id)
            assert json.loads(record.body)["token"]["refresh_token"] == live.refresh_token
        presented = [entry.token for entry in sandbox.ledger.refreshes]
        await judge.store.aclose()
        await judge.client.aclose()
    show(
        f"{judge.kills} kills, {judge.ambiguous} ambiguous, "
        f"{judge.silently_lost} silently lost, {judge.false_alarms} false alarms, "
        f"{len(presented)} refreshes presented"
    )
    assert judge.kills == kills
    assert judge.silently_lost == 0
    assert judge.false_alarms == 0
    assert max(presented.count(token) for token in set(presented)) <= 8


async def test_a_killed_process_loses_no_grant_silently(tmp_path, show):
    """At each marked point and at random; the sandbox judges."""
    await _kill(tmp_path, 2 * len(POINTS), 1, show)


@pytest.mark.drill
@pytest.mark.parametrize("seed", [2, 3], ids=["first half", "second half"])
async def test_five_hundred_killed_processes_lose_no_grant_silently(tmp_path, show, seed):
    """At each marked point and at random; the sandbox judges."""
    await _kill(tmp_path, 260, seed, show)
