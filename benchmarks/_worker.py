"""A process that measures one peer on one event loop: a line of JSON in, a line of JSON out.

    python benchmarks/_worker.py PEER asyncio|uvloop

What it is asked for: ``{"url": ..., "in_flight": 20, "calls": 1500}``. What it says: seconds of CPU
and of the clock for those calls, the first of which begins when every connection stands.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Lock
from typing import Any

from _gateway import allow_connections
from _peers import PEERS, Peer

LIMIT = 120.0  # seconds a measurement may take


class Stopwatch:
    """Starts with the last call that warms up, and stops with the last one that counts."""

    def __init__(self, warm: int, calls: int) -> None:
        self.warm, self.enough = warm, warm + calls
        self.done = 0
        self.is_over = False
        self.cpu = self.seconds = 0.0

    def count(self) -> None:
        self.done += 1
        if self.done == self.warm:
            self.cpu, self.seconds = time.process_time(), time.perf_counter()
        elif self.done == self.enough:
            self.cpu = time.process_time() - self.cpu
            self.seconds = time.perf_counter() - self.seconds
            self.is_over = True


async def measure(peer: Peer, url: str, in_flight: int, calls: int) -> Stopwatch:
    """With so many calls under way all the time."""
    at_once = min(in_flight, peer.threads or in_flight)
    watch = Stopwatch(at_once, calls)
    is_over = asyncio.Event()

    async def work(call: Callable[[], Awaitable[object]]) -> None:
        while not watch.is_over:
            await call()
            watch.count()
        is_over.set()

    async with asyncio.timeout(LIMIT), peer.opens(url, in_flight) as call:
        if peer.threads:
            await asyncio.to_thread(in_threads, call, watch, at_once)
        else:
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(work(call)) for _ in range(at_once)]
                await is_over.wait()
                for each in working:
                    each.cancel()
    return watch


def in_threads(call: Callable[[], object], watch: Stopwatch, threads: int) -> None:
    """The same for what blocks."""
    one_counts = Lock()

    def work() -> None:
        while not watch.is_over:
            call()
            with one_counts:
                watch.count()

    with ThreadPoolExecutor(threads) as pool:
        for ended in [pool.submit(work) for _ in range(threads)]:
            ended.result()


def main() -> None:
    allow_connections()
    peer, loop = PEERS[sys.argv[1]], sys.argv[2]
    run: Any = import_module(loop).run
    for line in sys.stdin:
        job = json.loads(line)
        gc.collect()
        try:
            watch = run(measure(peer, **job))
        except Exception as raised:  # noqa: BLE001 - whatever it is, the table does without it
            error: Exception = raised
            while isinstance(error, ExceptionGroup):
                error = error.exceptions[0]
            said: dict[str, object] = {"error": f"{type(error).__name__}: {error}"}
        else:
            said = {"cpu": watch.cpu, "seconds": watch.seconds}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
