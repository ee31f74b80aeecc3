"""The app under real servers with two workers, killed and ended in the midst of refreshes."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from services import free_port
from store_kinds import STORES, provisioning
from web_helpers import APP, SECRET

from iop_async.sandbox import Sandbox, SandboxApp, running

HERE = Path(__file__).parent
SELLERS = 120
SERVERS = {
    "uvicorn": ["uvicorn", "shop_app:site", "--workers", "2", "--port", "{port}"],
    "gunicorn": [
        *("gunicorn", "shop_app:site", "--preload", "--workers", "2", "--graceful-timeout", "60"),
        *("--worker-class", "uvicorn_worker.UvicornWorker", "--bind", "127.0.0.1:{port}"),
    ],
}


@pytest.fixture
def location(request, tmp_path):
    """A store of the kind that the test's parameter names, and nobody else's."""
    with provisioning() as at:
        yield at(request.param, tmp_path)


def settings_of(url, port, location):
    option = f"?table_prefix={location.prefix}" if "postgresql" in location.url else ""
    return {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "PYTHONUNBUFFERED": "1",
        "IOP_APP_KEY": APP.key,
        "IOP_APP_SECRET": APP.secret,
        "IOP_GATEWAY": url,
        "IOP_STORE": location.url + option,
        "CALLBACK": f"http://127.0.0.1:{port}/iop/callback",
        "WEB_SECRET": SECRET,
    }


@contextmanager
def served(command, settings, log):
    """A server with its workers; ended by SIGTERM at the end, if it is not yet."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=settings, cwd=HERE, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(90)
        finally:
            process.kill()


def workers_of(process):
    """The processes that answer requests, and not those that help multiprocessing."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return [int(pid) for pid, line in lines.items() if "resource_tracker" not in line]


async def until(condition, seconds=60):
    with anyio.fail_after(seconds):
        while not await condition():
            await anyio.sleep(0.1)


async def is_healthy(http):
    try:
        return (await http.get("/iop/health")).status_code == 200
    except httpx.TransportError:
        return False


async def connect(address, seller_id):
    """A seller's whole way, in a browser of its own; gives the cookies of that."""
    async with httpx.AsyncClient(base_url=address, timeout=60) as browser:
        there = await browser.get("/iop/connect")
        back = await browser.get(f"{there.headers['location']}&auto_approve={seller_id}")
        done = await browser.get(back.headers["location"])
        assert (done.status_code, done.headers["location"]) == (303, "/orders"), done.text
        return browser.cookies


async def read_orders(address, cookies):
    async with httpx.AsyncClient(base_url=address, timeout=60, cookies=cookies) as browser:
        return (await browser.get("/orders")).status_code


async def judge(location, sandbox, scope):
    """Sellers whose live pair is kept, those whose answer is known to be out, and those lost."""
    kept, told, lost = [], [], []
    store = location.store()
    async for record in store.records(scope):
        body = json.loads(record.body)
        live = sandbox.grants.live_pair(APP.key, record.seller_id)
        if body["token"]["refresh_token"] == live.refresh_token:
            kept.append(record.seller_id)
        elif body["intent"] or body["state"] != "live" or body["refused_at"]:
            told.append(record.seller_id)
        else:
            lost.append(record.seller_id)
    await store.aclose()
    return kept, told, lost


@pytest.mark.drill
@pytest.mark.parametrize("location", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("server", SERVERS)
async def test_workers_that_are_killed_and_ended_lose_nothing(server, location, tmp_path, show):
    """Refreshes under way all the time, on a gateway where each refresh token works once.

    What a killed process had asked for and not heard of is told of, and of nothing else.
    """
    sandbox = Sandbox(apps=[SandboxApp(APP.key, APP.secret)], sellers=SELLERS, access_seconds=14)
    port, log = free_port(), tmp_path / "server.log"
    address = f"http://127.0.0.1:{port}"
    with running(sandbox) as url:
        scope = f"{APP.key}@{url.removeprefix('http://')}"
        settings = settings_of(url, port, location)
        command = [part.format(port=port) for part in SERVERS[server]]
        async with httpx.AsyncClient(base_url=address, timeout=60) as http:
            with served(command, settings, log) as process:
                await until(lambda: is_healthy(http))
                sellers = list(sandbox.sellers)
                jars = []
                for start in range(0, SELLERS, 10):
                    jars += await asyncio.gather(
                        *(connect(address, one) for one in sellers[start : start + 10])
                    )
                sandbox.fail("latency", seconds=0.4, api="/auth/token/refresh", times=None)
                read = await asyncio.gather(*(read_orders(address, jar) for jar in jars))
                assert set(read) == {200}
                before = len(sandbox.ledger.refreshes)
                await until(lambda: _later(sandbox, before + SELLERS))
                workers = workers_of(process)
                assert len(workers) == 2
                before = len(sandbox.ledger.refreshes)
                await until(lambda: _later(sandbox, before + 1))  # some are under way now
                os.kill(workers[0], signal.SIGKILL)
                await until(lambda: _are_two(process, workers[0]))
                before = len(sandbox.ledger.refreshes)
                await until(lambda: _later(sandbox, before + SELLERS))
                process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                process.wait(90)
                seconds = time.monotonic() - began
        kept, told, lost = await judge(location, sandbox, scope)
    words = log.read_text()
    show(
        f"{server} over {STORES[location.kind].title}: {len(sandbox.ledger.refreshes)} refreshes; "
        f"after a kill and SIGTERM ({seconds:.1f} s) {len(kept)} of {SELLERS} live pairs kept, "
        f"{len(told)} answers out, {len(lost)} lost in silence"
    )
    assert lost == []
    assert len(told) <= 20  # as many as one process has under way
    assert not re.search(r"code=\d|state=[\w-]{20}|50000601|50001600|helloworld", words)
    assert words.count("Traceback") == 0, words


async def _later(sandbox, number):
    return len(sandbox.ledger.refreshes) >= number


async def _are_two(process, killed):
    workers = workers_of(process)
    return len(workers) == 2 and killed not in workers


def test_the_app_is_no_longer_than_it_says():
    """Thirty-five lines: what a user writes is the app, and no glue."""
    lines = (HERE / "shop_app.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 35
