"""Real workers of Celery, whose tasks each have an event loop of their own: nothing is lost."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import pytest
from services import REDIS, require
from store_kinds import SHARED
from tokens_scenario import REFRESH

import iop_async as iop

pytestmark = pytest.mark.drill

SELLERS = 40
HERE = Path(__file__).parent


@contextmanager
def worker(settings, pool):
    """A worker with four threads or processes; told to end, it finishes what it has begun."""
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", pool]
    options = ["-c", "4", "-l", "WARNING", "--without-gossip", "--without-mingle"]
    with (Path(settings["LOG"])).open("ab") as log:
        process = subprocess.Popen([*command, *options], env=settings, cwd=HERE, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def settings_of(shared, location, opened, directory):
    paths = (HERE, HERE.parent, HERE.parent / "stores")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "GATEWAY": shared.url,
        "KIND": location.kind,
        "STORE": location.url,
        "PREFIX": location.prefix,
        "OPENED": opened,
        "BROKER": require(REDIS),
        "QUEUE": f"celery-{uuid4().hex}-",
        "LOG": str(directory / "worker.log"),
    }


SEND = """
import sys
from celery_app import refresh
results = [refresh.delay(seller) for _ in range(2) for seller in sys.argv[1:]]
for result in results:
    result.get(timeout=300)
    result.forget()
"""


async def authorize_all(shared, client, store):
    async with client, iop.TokenManager(client, store, keeper=False) as tokens:
        for seller in shared.sandbox.sellers:
            await tokens.authorize(shared.code(seller))
    await store.aclose()


async def kept(shared, store):
    scope = f"123456@{shared.url.removeprefix('http://')}"
    bodies = {each.seller_id: json.loads(each.body) async for each in store.records(scope)}
    await store.aclose()
    return bodies


@pytest.mark.parametrize(
    ("pool", "opened"),
    [("threads", "by each task"), ("prefork", "by each task"), ("prefork", "by the module")],
)
@pytest.mark.parametrize("kind", SHARED)
def test_tasks_of_celery_lose_no_pair(scenario, provision, tmp_path, kind, pool, opened):
    """Each seller is refreshed by two tasks, on a gateway where each refresh token works once."""
    location = provision(kind, tmp_path)
    scenario.sandbox.add_sellers(SELLERS - 3)
    anyio.run(authorize_all, scenario, scenario.client(), location.store())
    scenario.sandbox.fail("latency", seconds=0.1, api=REFRESH, times=None)
    settings = settings_of(scenario, location, opened, tmp_path)
    with worker(settings, pool):
        command = [sys.executable, "-c", SEND, *scenario.sandbox.sellers]
        subprocess.run(command, env=settings, cwd=HERE, check=True, timeout=400)
    presented = scenario.sandbox.ledger.refreshes
    assert all(entry.accepted for entry in presented)
    assert SELLERS <= len(presented) <= 2 * SELLERS
    bodies = anyio.run(kept, scenario, location.store())
    for seller in scenario.sandbox.sellers:
        assert bodies[seller]["token"]["refresh_token"] == scenario.live(seller).refresh_token
        assert bodies[seller]["intent"] is None
