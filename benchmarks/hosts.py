"""The throughput of more processes: claims and refreshes a second, by how many share a store.

    python benchmarks/hosts.py [--rounds N] [--picture SVG]

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
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import _host
import anyio
import charts
import stores
import tokens
from _host import AT_ONCE, Job
from _report import print_setting, print_table, spread
from attrs import asdict, evolve
from shared_stores import SHARED, STORES, StoreLocation

from iop_async._records import Record
from iop_async.protocols import TokenStore

COUNTS = (1, 2, 4, 8)
WORKS = ("claims", "refreshes")
LIBRARIES = ("iop-async", "sqlalchemy", "asyncpg", "aiomysql", "redis", "httpcore")

Results = dict[tuple[str, str, int], list[float]]


def measure(job: Job, processes: int, count: int) -> float:
    """The rate of so many processes until ``count`` are done."""
    reading, writing = os.pipe()
    children = [
        subprocess.Popen(
            [sys.executable, _host.__file__], stdin=subprocess.PIPE, stdout=writing, text=True
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
        print(f"{work.capitalize()} a second, and as a multiple of one process in the same round\n")
        rows = []
        for name in names(results):
            row = [STORES[name].title]
            for count in COUNTS:
                rates, alone = results[work, name, count], results[work, name, 1]
                ratios = [rate / one for rate, one in zip(rates, alone, strict=True)]
                row.append(f"{spread(rates, ',.0f')} x{spread(ratios, '.1f')}")
            rows.append(row)
        print_table(["", *map(plural, COUNTS)], rows)


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
            print(f"{kind.title} is left out: no server listens there", file=sys.stderr)


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
            print(f"{STORES[shared.kind].title} {server}", file=sys.stderr)
            await fill(shared, begin, options)
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
    options = parser.parse_args()
    print_setting(*LIBRARIES)
    with tempfile.TemporaryDirectory(dir=options.directory) as folder, tokens.gateway() as url:
        results = asyncio.run(run(options, url, folder))
    show(results)
    if options.picture:
        options.picture.write_text(charts.draw(panels(results), "processes"))


if __name__ == "__main__":
    main()
