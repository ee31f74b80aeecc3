"""The throughput of more processes: claims and refreshes a second, by how many share a store.

    python benchmarks/hosts.py [--picture PATH]

Claims: each process claims up to 20 due records at a time, puts each with a later due time and so
gives it back, until none of 4,000 among 20,000 is due. Refreshes: each process runs a token manager
with its keeper, 20 in flight, over the same 1,000 due sellers; the gateway takes 20 ms. A process
is ready before the clock starts: imported, store opened, keeper waiting. Every record must be
claimed once, and every refresh token presented once, or the run ends with an error.

The servers, the gateway and the processes share one machine. Beyond its cores, processes only
take turns: what more hosts would bring must be measured on more hosts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

import anyio
import charts
import stores
import tokens
from attrs import asdict, evolve, frozen
from shared_stores import SHARED, STORES, StoreLocation

import iop_async as iop
from iop_async._records import Record
from iop_async.protocols import TokenStore

COUNTS = (1, 2, 4, 8)
AT_ONCE = 20
WORKS = ("claims", "refreshes")
LIBRARIES = [
    f"{name} {version(name)}"
    for name in ("iop-async", "sqlalchemy", "asyncpg", "aiomysql", "redis", "httpcore")
]

Results = dict[tuple[str, str, int], list[float]]


@frozen
class Job:
    """The task of a process. Each measurement is at a later moment, when all is due anew."""

    work: str
    shared: StoreLocation
    gateway: str
    begin: float
    number: int

    def moment(self, number: int) -> datetime:
        return datetime.fromtimestamp(self.begin, UTC) + timedelta(days=40 * number)

    @property
    def due(self) -> datetime:
        return self.moment(self.number)

    @property
    def later(self) -> datetime:
        return self.moment(self.number + 1)


class Clock(iop.tokens.SystemClock):
    """Shows a time at which nothing is due, until it is let go."""

    def __init__(self, due: datetime) -> None:
        super().__init__(self.tell)
        self._shown = due - timedelta(days=20)
        self._due = due
        self._since: float | None = None
        self._going = anyio.Event()
        self.awaited = anyio.Event()

    def tell(self) -> datetime:
        if self._since is None:
            return self._shown
        return self._due + timedelta(seconds=time.monotonic() - self._since)

    def go(self) -> None:
        self._since = time.monotonic()
        self._going.set()

    async def sleep(self, seconds: float) -> None:
        self.awaited.set()
        if self._since is None:
            await self._going.wait()  # the moment that was waited for is over then
        else:
            await super().sleep(seconds)


def say(lines: Iterable[str]) -> None:
    """In one write, because all processes share a pipe: it keeps one apart from another."""
    os.write(sys.stdout.fileno(), "".join(f"{line}\n" for line in lines).encode())


async def told() -> None:
    await anyio.to_thread.run_sync(sys.stdin.readline)


async def claim(store: TokenStore, job: Job) -> None:
    scope, holder = stores.SCOPE, uuid4().hex
    await store.next_due(scope)
    say(["ready"])
    await told()
    while claimed := await store.claim(
        scope, due_by=job.due, limit=AT_ONCE, holder=holder, seconds=60
    ):
        async with anyio.create_task_group() as tasks:
            for record in claimed:
                later = evolve(record, due_at=job.later)
                tasks.start_soon(partial(store.put, later, release=holder))
        say(record.seller_id for record in claimed)


async def refresh(store: TokenStore, job: Job) -> None:
    clock = Clock(job.due)
    transport = iop.HttpxTransport(max_connections=AT_ONCE)
    client = iop.Client(
        tokens.APP, iop.gateways.Iop(job.gateway), transport=transport, now=clock.now
    )
    manager = iop.TokenManager(client, store, concurrency=AT_ONCE, clock=clock, scope=tokens.SCOPE)

    async def listen(events: iop.tokens.EventStream) -> None:
        async for event in events:
            assert event.kind == "refreshed", event
            say([str(event.seller_id)])

    async with transport, anyio.create_task_group() as tasks, manager:
        tasks.start_soon(listen, manager.events())
        await clock.awaited.wait()
        say(["ready"])
        await told()
        clock.go()
        await told()


async def child() -> None:
    logging.getLogger("iop_async.stores").setLevel(logging.ERROR)  # the parent has heard it
    given = json.loads(sys.stdin.readline())
    job = Job(**given | {"shared": StoreLocation(**given["shared"])})
    try:
        async with job.shared.store() as store:
            await {"claims": claim, "refreshes": refresh}[job.work](store, job)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the parent must hear of it
        say(["failed"])  # or the parent would wait
        error = exc
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        sys.exit(f"{type(error).__name__}: {error}")


def measure(job: Job, processes: int, count: int) -> float:
    """The rate of so many processes until ``count`` are done."""
    reading, writing = os.pipe()
    children = [
        subprocess.Popen(
            [sys.executable, __file__, "--child"], stdin=subprocess.PIPE, stdout=writing, text=True
        )
        for _ in range(processes)
    ]
    os.close(writing)
    try:
        with os.fdopen(reading) as lines:
            tell(children, json.dumps(asdict(job)))
            assert list(islice(lines, processes)) == ["ready\n"] * processes
            begun = time.perf_counter()
            tell(children, "go")
            done = list(islice(lines, count))
            taken = time.perf_counter() - begun
            tell(children, "")
            done += lines
        assert not any(child.wait() for child in children)
    finally:
        for child in children:
            child.kill()
            child.wait()
    again = {line.strip(): times for line, times in Counter(done).items() if times > 1}
    assert not again, f"{job.work} in {job.shared.kind}: done more than once: {again}"
    assert len(done) == count, f"{job.work} in {job.shared.kind}: {len(done)} of {count} done"
    return count / taken


def tell(children: Iterable[subprocess.Popen[str]], line: str) -> None:
    for one in children:
        assert one.stdin is not None
        with suppress(BrokenPipeError):  # it has ended, and its return code tells how
            one.stdin.write(f"{line}\n")
            one.stdin.flush()


@contextmanager
def gateway() -> Iterator[str]:
    command = [sys.executable, tokens.__file__, "--gateway"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def answers(url: str) -> int:
    """The number of answers that the gateway gave before this one."""
    with urlopen(url, data=b"{}") as answer:
        return int(json.load(answer)["access_token"][8:])


async def fill(shared: StoreLocation, begin: datetime, options: argparse.Namespace) -> None:
    far = begin + timedelta(days=36_500)
    records = [tokens.record(number, due=True) for number in range(options.refreshes)]
    for number in range(options.records):
        due_at = begin if number < options.claims else far
        records.append(evolve(stores.grant(number), due_at=due_at))
    waiting = iter(records)

    async def write(store: TokenStore, some: Iterator[Record]) -> None:
        for record in some:
            await store.put(record)

    async with shared.store() as store, anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(write, store, waiting)


def measure_all(all_shared: list[StoreLocation], job: Job, options: argparse.Namespace) -> Results:
    """All measurements, interleaved: a machine is not equally busy all the time."""
    results: Results = {}
    for turn in range(options.rounds):
        for shared in all_shared:
            for step, processes in enumerate(COUNTS):
                for work in WORKS:
                    now = evolve(job, shared=shared, work=work, number=turn * len(COUNTS) + step)
                    count = getattr(options, work)
                    before = answers(job.gateway)
                    rate = measure(now, processes, count)
                    presented = answers(job.gateway) - before - 1
                    assert presented == (count if work == "refreshes" else 0), presented
                    results.setdefault((work, shared.kind, processes), []).append(rate)
                    done = f"{plural(processes)}: {rate:,.0f} {work} a second"
                    print(f"{STORES[shared.kind].title}, {done}", file=sys.stderr)
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return results


def show(results: Results) -> None:
    for work in WORKS:
        print(f"{work} a second: median (min-max), and as a multiple of one process\n")
        print(f"{'':<12}" + "".join(f"{plural(count):>30}" for count in COUNTS))
        for name in names(results):
            cells = []
            for count in COUNTS:
                values = results[work, name, count]
                ratio = median(values) / median(results[work, name, 1])
                spread = f"({min(values):,.0f}-{max(values):,.0f})"
                cells.append(f"{f'{median(values):,.0f} {spread}  x{ratio:.1f}':>30}")
            print(f"{STORES[name].title:<12}" + "".join(cells))
        print(flush=True)


def plural(count: int) -> str:
    return f"{count} process" + ("es" if count > 1 else "")


def names(results: Results) -> list[str]:
    return list(dict.fromkeys(name for _, name, _ in results))


def panels(results: Results) -> dict[str, dict[str, charts.Line]]:
    return {
        f"{work} a second": {
            STORES[name].title: {count: results[work, name, count] for count in COUNTS}
            for name in names(results)
        }
        for work in WORKS
    }


def find_shared(options: argparse.Namespace, folder: str) -> Iterator[StoreLocation]:
    for name in options.stores or SHARED:
        kind = STORES[name]
        url = getattr(options, name, kind.url).format(directory=folder)
        if kind.own_server is None or listens(url):
            yield StoreLocation(name, url)
        else:
            print(f"{kind.title} is left out: no server listens there")


def listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), 2).close()
    except OSError:
        return False
    return True


async def run(options: argparse.Namespace, url: str, folder: str) -> Results:
    begin = datetime.now(UTC) + timedelta(days=1)
    async with AsyncExitStack() as stack:
        all_shared = list(find_shared(options, folder))
        for shared in all_shared:
            server = await stack.enter_async_context(shared.provisioned())
            print(f"{STORES[shared.kind].title} {server}", flush=True)
            await fill(shared, begin, options)
        print()
        job = Job("", all_shared[0], url, begin.timestamp(), 0)
        return await asyncio.to_thread(measure_all, all_shared, job, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--claims", type=int, default=4_000)
    parser.add_argument("--refreshes", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", nargs="*", choices=SHARED, metavar="STORE")
    parser.add_argument("--directory", type=Path, help="where SQLite's file lies for the while")
    for name in SHARED:
        if STORES[name].own_server is not None:
            parser.add_argument(f"--{name}", default=STORES[name].url, metavar="URL")
    parser.add_argument("--picture", type=Path, help="draw an SVG")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        asyncio.run(child())
        return
    print(
        f"{datetime.now(UTC).date()}, Python {platform.python_version()}, " + ", ".join(LIBRARIES)
    )
    print(f"{os.cpu_count()} cores: more processes than that share them with each other,")
    print("and all of them do so with the servers and the gateway")
    with tempfile.TemporaryDirectory(dir=options.directory) as folder, gateway() as url:
        results = asyncio.run(run(options, url, folder))
    show(results)
    if options.picture:
        options.picture.write_text(charts.draw(panels(results), "processes"))


if __name__ == "__main__":
    main()
