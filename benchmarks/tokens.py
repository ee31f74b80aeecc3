"""A batch refresh against its ideal, the window of loss, and what idle sellers cost in memory.

    python benchmarks/tokens.py [--quick] [--rounds N] [--picture SVG]

100,000 sellers lie in SQLite, 10,000 of them are due. The ideal is what the gateway's latency alone
would take: latency x count / in flight. The gateway says how long it kept requests: an event loop
that is to wait for 20 ms waits for a little more. Every pair is durable before anyone sees it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import urlopen

import charts
from _report import judge, print_setting, print_table, spread
from attrs import evolve, frozen

import iop_async as iop
from iop_async._records import Record
from iop_async.stores import SQLiteStore
from iop_async.tokens._grant import Grant
from iop_async.tokens._grant_json import to_record

APP = iop.App("12345678", "helloworld")
SCOPE = "benchmark"
DOORS = (iop.FastTransport, iop.HttpxTransport)
BOUNDS = {20: 1.05, 100: 1.30}
"""By how many are in flight: at most so many times the ideal, with ``FastTransport``."""

Door = type[iop.FastTransport] | type[iop.HttpxTransport]


class Gateway(asyncio.Protocol):
    """Answers every request with a new pair, after a while; parses no more than it must."""

    latency = 0.02
    numbers = count()
    kept: ClassVar[list[float]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        self.unread += data
        head, found, body = self.unread.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if found and len(body) >= int(length or 0):
            self.unread = b""
            if head.startswith(b"GET /kept"):
                self.write(json.dumps(statistics.mean(self.kept)).encode())
                self.kept.clear()
                return
            self.since = time.perf_counter()
            asyncio.get_running_loop().call_later(self.latency, self.answer)

    def answer(self) -> None:
        self.kept.append(time.perf_counter() - self.since)
        number = next(self.numbers)
        content = json.dumps(
            {
                "code": "0",
                "access_token": f"50000601{number:048}",
                "refresh_token": f"50001600{number:048}",
                "expires_in": 2592000,
                "refresh_expires_in": 15552000,
                "account_platform": "seller_center",
                "request_id": "0ba2887315178178017221014",
            }
        ).encode()
        self.write(content)

    def write(self, content: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
        )

    @classmethod
    async def serve(cls) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(cls, "127.0.0.1", 0, backlog=1000)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


def record(number: int, *, due: bool) -> Record:
    now = datetime.now(UTC)
    token = iop.Token(
        access_token=f"50000600{number:048}",
        refresh_token=f"50001600{number:048}",
        issued_at=now - timedelta(days=30 if due else 1),
        expires_at=now + timedelta(minutes=10 if due else 29 * 1440),
        refresh_expires_at=now + timedelta(days=150),
        sellers=(iop.Seller("sg", str(number), str(number), f"SG{number}"),),
    )
    grant = Grant(scope=SCOPE, seller_id=str(number), seller_ids=(str(number),), token=token)
    return to_record(grant, due_at=now if due else now + timedelta(days=28))


async def fill(path: Path, sellers: int, due: int) -> None:
    store = SQLiteStore(path)
    numbers = iter(range(sellers))

    async def write() -> None:
        for number in numbers:
            await store.put(record(number, due=number < due))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(1000):
            tasks.create_task(write())
    await store.aclose()


class Timed:
    """A store and a transport that note when an answer came, and when its pair was durable."""

    def __init__(self, store: SQLiteStore, transport: iop.protocols.Transport) -> None:
        self.store, self.transport, self.path = store, transport, store.path
        self.answered: dict[asyncio.Task[Any] | None, float] = {}
        self.windows: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        stored = await self.store.put(record, release=release)
        since = self.answered.pop(asyncio.current_task(), None)
        if since is not None:
            self.windows.append(time.perf_counter() - since)
        return stored

    async def send(self, request: iop.HttpRequest) -> iop.HttpResponse:
        response = await self.transport.send(request)
        self.answered[asyncio.current_task()] = time.perf_counter()
        return response


@frozen
class Batch:
    """One batch refresh. All times are in seconds; a window is from an answer to a durable pair."""

    count: int
    in_flight: int
    seconds: float
    cpu: float
    windows: list[float]
    latency: float = 0.0

    @property
    def ratio(self) -> float:
        return self.seconds / (self.latency * self.count / self.in_flight)


async def refresh(path: Path, url: str, in_flight: int, door: Door) -> Batch:
    """Refresh all that are due."""
    store = SQLiteStore(path)
    async with door(max_connections=in_flight) as transport:
        timed: Any = Timed(store, transport)
        client = iop.Client(APP, iop.gateways.Iop(url), transport=timed)
        async with iop.TokenManager(
            client, timed, keeper=False, concurrency=in_flight, scope=SCOPE
        ) as tokens:
            started, cpu = time.perf_counter(), time.process_time()
            report = await tokens.refresh_due()
            took, cpu = time.perf_counter() - started, time.process_time() - cpu
    await store.aclose()
    return Batch(len(report.refreshed), in_flight, took, cpu, timed.windows)


def kept(url: str) -> float:
    """Seconds that the gateway kept a request since it was last asked."""
    with urlopen(f"{url}/kept") as answer:
        return float(json.load(answer))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sellers", type=int, default=100_000)
    parser.add_argument("--due", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a look, in half a minute")
    parser.add_argument("--picture", type=Path, help="draw an SVG")
    parser.add_argument("--gateway", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gateway:
        asyncio.run(Gateway.serve())
        return
    if options.keep:
        asyncio.run(keep(options.keep))
        return
    if options.quick:
        options.sellers, options.due, options.rounds = 10_000, 1_000, 1
    with gateway() as url, tempfile.TemporaryDirectory() as folder:
        print_setting("iop-async", "httptools", "httpcore", "anyio")
        path = Path(folder) / "tokens.db"
        asyncio.run(fill(path, options.sellers, 0))
        show(measure_all(path, url, options), options)
        show_memory(Path(folder), options.sellers)


@contextmanager
def gateway(script: str = __file__) -> Iterator[str]:
    """The URL of the gateway that a script serves when it is started with ``--gateway``."""
    command = [sys.executable, script, "--gateway"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


Results = dict[tuple[Door, int], list[Batch]]


def measure_all(path: Path, url: str, options: argparse.Namespace) -> Results:
    """In turn, round after round."""
    results: Results = {}
    for turn in range(options.rounds):
        for in_flight in BOUNDS:
            for door in DOORS:
                asyncio.run(make_due(path, options.due))
                batch = asyncio.run(refresh(path, url, in_flight, door))
                batch = evolve(batch, latency=kept(url))
                assert batch.count == options.due, batch.count
                results.setdefault((door, in_flight), []).append(batch)
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return results


def show(results: Results, options: argparse.Namespace) -> None:
    print(f"{options.due:,} of {options.sellers:,} sellers due, in SQLite\n")
    rows = []
    for (door, in_flight), batches in results.items():
        windows = statistics.quantiles([each for batch in batches for each in batch.windows], n=100)
        rows.append(
            [
                f"{door.__name__}, {in_flight} in flight",
                spread([batch.ratio for batch in batches]),
                spread([batch.seconds for batch in batches]),
                spread([batch.latency * 1e3 for batch in batches]),
                spread([batch.cpu / batch.count * 1e6 for batch in batches], ".0f"),
                f"{windows[49] * 1e3:.1f}, {windows[98] * 1e3:.1f}",
            ]
        )
    print_table(
        [
            *("", "times the ideal", "seconds", "ms at the gateway", "us of CPU a refresh"),
            "ms from answer to durable: median, 99 %",
        ],
        rows,
    )
    for in_flight, bound in BOUNDS.items():
        ratios = [batch.ratio for batch in results[iop.FastTransport, in_flight]]
        judge(
            f"batch of {options.due:,} / its ideal, FastTransport, {in_flight} in flight",
            ratios,
            "<=",
            bound,
        )
    if options.picture:
        groups = {
            f"{in_flight} in flight: seconds / ideal": {
                door.__name__: [batch.ratio for batch in results[door, in_flight]] for door in DOORS
            }
            for in_flight in BOUNDS
        }
        options.picture.write_text(charts.bars(groups, limit=1.0, named="ideal"))


def show_memory(folder: Path, sellers: int) -> None:
    """Of a process whose manager keeps many sellers that need nothing, against one with ten."""
    asyncio.run(fill(folder / "few.db", 10, 0))
    asyncio.run(fill(folder / "many.db", sellers, 0))
    few, many = ([resident(folder / name) for _ in range(3)] for name in ("few.db", "many.db"))
    each = (statistics.median(many) - statistics.median(few)) / sellers
    print(
        f"\nresident: {statistics.median(few) / 1e6:.1f} MB with 10 sellers, "
        f"{statistics.median(many) / 1e6:.1f} MB with {sellers:,}"
    )
    judge("bytes per idle seller", [each], "<=", 16)


def resident(path: Path) -> int:
    command = [sys.executable, __file__, "--keep", str(path)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


async def keep(path: Path) -> None:
    """Let a keeper look at a store for a second, and print the bytes of memory that it took."""
    client = iop.Client(APP, iop.gateways.Iop("http://127.0.0.1:9"))
    async with SQLiteStore(path) as store, client, iop.TokenManager(client, store, scope=SCOPE):
        await asyncio.sleep(1)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


async def make_due(path: Path, due: int) -> None:
    store = SQLiteStore(path)
    numbers = iter(range(due))

    async def write() -> None:
        for number in numbers:
            stored = await store.get(SCOPE, str(number))
            assert stored is not None
            await store.put(evolve(record(number, due=True), revision=stored.revision))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(500):
            tasks.create_task(write())
    await store.aclose()


if __name__ == "__main__":
    main()
