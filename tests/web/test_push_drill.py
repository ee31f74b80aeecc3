"""Ten thousand pushes, good, repeated, forged and cut off, to a handler that hangs."""

import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from services import free_port
from web_helpers import order, push_of

HERE = Path(__file__).parent
MESSAGES = 10_000
SENDERS = 16


def made(seed):
    """Pushes in the order in which they are sent, each with what must become of it."""
    chance = random.Random(seed)
    pushes = []
    for number in range(MESSAGES * 6 // 10):
        status = "hang" if number % 200 == 7 else "unpaid"
        data = {"order_status": status, "trade_order_id": str(number)}
        pushes.append(("good", push_of(order(number, data=data))))
    for _ in range(MESSAGES * 2 // 10):
        pushes.append(("repeated", chance.choice(pushes)[1]))
    for number in range(MESSAGES // 10):
        forged = push_of(order(f"forged-{number}"))
        forged["headers"] = {"authorization": chance.randbytes(32).hex()}
        pushes.append(("forged", forged))
        cut = push_of(order(f"cut-{number}"))
        cut["content"] = cut["content"][: chance.randrange(len(cut["content"]))]
        pushes.append(("cut", cut))
    chance.shuffle(pushes)
    return pushes


@contextmanager
def app(tmp_path, *options, **settings):
    """The app in processes of its own; gives the address of the route."""
    port = free_port()
    paths = os.pathsep.join(map(str, (HERE, HERE.parent)))
    settings = {
        "STORE": str(tmp_path / "tokens.db"),
        "HANDLED": str(tmp_path / "handled"),
    } | settings
    command = [sys.executable, "-m", "uvicorn", "push_app:site", "--port", str(port), *options]
    process = subprocess.Popen(
        [*command, "--log-level", "critical"],
        env={**os.environ, "PYTHONPATH": paths, **settings},
        cwd=HERE,
    )
    try:
        yield f"http://127.0.0.1:{port}/iop"
    finally:
        process.terminate()
        process.wait(60)


async def sent(address, pushes):
    """The status and the seconds of each, in order, from so many senders; what is put off waits."""
    outcomes = [None] * len(pushes)
    waiting = list(enumerate(pushes))[::-1]

    async def sender():
        async with httpx.AsyncClient(timeout=30) as http:
            while waiting:
                index, (_, push) = waiting.pop()
                began = time.perf_counter()
                answer = await http.post(f"{address}/push", **push)
                seconds = time.perf_counter() - began
                statuses, times = outcomes[index] or ([], [])
                outcomes[index] = [*statuses, answer.status_code], [*times, seconds]
                if answer.status_code == 503 and len(statuses) < 200:
                    await asyncio.sleep(0.05)
                    waiting.insert(0, (index, pushes[index]))

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return outcomes


async def listening(address):
    with anyio.fail_after(60):
        async with httpx.AsyncClient() as http:
            while True:
                try:
                    if (await http.get(f"{address}/health")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)


def percentiles(outcomes):
    seconds = [one for _, times in outcomes for one in times]
    cuts = statistics.quantiles(seconds, n=100)
    return f"median {cuts[49] * 1e3:.0f} ms, 99 % {cuts[98] * 1e3:.0f} ms", cuts[98]


@pytest.mark.drill
@pytest.mark.alone
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one", "two workers"])
async def test_each_push_is_handled_once_and_answered_in_time(tmp_path, options, show):
    """Some hang for ever, of which each ends by its time; no other is later for that."""
    pushes = made(seed=1)
    with app(tmp_path, *options, HANGS="hang", PUSH_SECONDS="1") as address:
        await listening(address)
        outcomes = await sent(address, pushes)
        good = {index for index, (kind, _) in enumerate(pushes) if kind in ("good", "repeated")}
        last = [statuses[-1] for statuses, _ in outcomes]
        assert {last[index] for index in good} == {200}
        assert {last[index] for index in range(len(pushes)) if index not in good} == {401}
        expected = {str(number) for number in range(MESSAGES * 6 // 10) if number % 200 != 7}
        with anyio.fail_after(120):
            while len(handled(tmp_path)) < len(expected):
                await asyncio.sleep(0.2)
    counts = handled(tmp_path)
    words, latest = percentiles(outcomes)
    put_off = sum(statuses.count(503) for statuses, _ in outcomes)
    show(f"{len(pushes)} pushes, {' '.join(options) or 'one process'}: {words}; {put_off} put off")
    assert counts.keys() == expected
    assert set(counts.values()) == {1}
    assert latest < 0.5


@pytest.mark.drill
@pytest.mark.alone
async def test_a_handler_that_hangs_for_all_delays_no_answer(tmp_path, show):
    """So many wait, and the rest is put off at once."""
    pushes = [("good", push_of(order(number))) for number in range(3_000)]
    with app(tmp_path, HANGS="all", PUSH_SECONDS="2") as address:
        await listening(address)
        began = time.perf_counter()
        outcomes = []
        async with httpx.AsyncClient(timeout=30) as http:
            for _, push in pushes:
                start = time.perf_counter()
                answer = await http.post(f"{address}/push", **push)
                outcomes.append(([answer.status_code], [time.perf_counter() - start]))
        seconds = time.perf_counter() - began
        leaving = time.perf_counter()
    ending = time.perf_counter() - leaving
    statuses = Counter(one for (one,), _ in outcomes)
    words, latest = percentiles(outcomes)
    show(f"every handler hangs: {dict(statuses)}; {words}; SIGTERM took {ending:.1f} s")
    assert statuses.keys() == {200, 503}
    assert statuses[200] <= 1_000 + 20 * (seconds / 2 + 1)
    assert latest < 0.5
    assert ending < 20
    assert handled(tmp_path) == {}


def handled(tmp_path):
    lines = (
        (tmp_path / "handled").read_text().splitlines() if (tmp_path / "handled").exists() else []
    )
    return Counter(line.split()[0] for line in lines)
