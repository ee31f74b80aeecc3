"""What a call costs the client: iop_async over both its doors, and its peers.

    python benchmarks/calls.py [--quick] [--rounds N] [--picture SVG] [--peers PEER ...]

The measure is a bare POST of aiohttp: a request that is ready is sent, and bytes come back. Every
other figure is a multiple of the one that was taken just before it, in the same round, under the
same event loop, with as many calls in flight. Each peer is a process of its own; the gateway is
another, and shares the cores with it: CPU of the client is the figure, calls a second come second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import _gateway
import charts
from _peers import DEFAULT, FAST, IN_FLIGHT, MEASURE, PEERS, SDK
from _report import judge, print_setting, print_table, spread
from attrs import frozen

LIBRARIES = (
    *("iop-async", "aiohttp", "httptools", "httpcore", "anyio", "httpx", "httpx2", "pyreqwest"),
    *("lazop-sdk", "uvloop"),
)
QUICK = (1, 100)
RATE_AT = 500


@frozen
class Setting:
    """Under what a call is measured."""

    scheme: str
    loop: str
    in_flight: int

    @property
    def panel(self) -> tuple[str, str]:
        return self.scheme, self.loop


@frozen
class Cell:
    """One measurement of one peer; the gateway's own cost is of a request, connecting included."""

    microseconds: float
    rate: float
    gateway: float


Results = dict[tuple[str, Setting], dict[int, Cell]]
"""By peer and setting: the cells, by round."""


class Worker:
    """The process of one peer under one event loop."""

    def __init__(self, peer: str, loop: str, folder: Path) -> None:
        self.title = f"{peer} on {loop}"
        trusted = str(folder / "ca.pem")
        environment = {
            **os.environ,
            "HOME": str(folder),  # lazop-sdk writes a log there when it is imported
            "SSL_CERT_FILE": trusted,
            "REQUESTS_CA_BUNDLE": trusted,
        }
        if (path := PEERS[peer].path) is not None:
            environment["PYTHONPATH"] = str(path)
        script = str(Path(__file__).with_name("_worker.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, peer, loop],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def measure(self, urls: Mapping[str, str], setting: Setting, calls: int) -> Cell | None:
        """Nothing, and a line on stderr, where the peer fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        job = {"url": urls[setting.scheme], "in_flight": setting.in_flight, "calls": calls}
        spent, requests = _gateway.ask_spent(urls["http"])
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline() or '{"error": "its process ended"}')
        if "error" in said:
            where = f"{setting.scheme}, {setting.in_flight} in flight"
            print(f"{self.title}, {where}: {said['error']}", file=sys.stderr)
            return None
        spent_then, requests_then = _gateway.ask_spent(urls["http"])
        gateway = (spent_then - spent) / (requests_then - requests)
        return Cell(said["cpu"] / calls * 1e6, calls / said["seconds"], gateway * 1e6)


@contextmanager
def started_workers(
    peers: Sequence[str], loops: Sequence[str], folder: Path
) -> Iterator[dict[tuple[str, str], Worker]]:
    with ExitStack() as stack:
        made = {}
        for peer in peers:
            for loop in loops[:1] if PEERS[peer].threads else loops:
                worker = made[peer, loop] = Worker(peer, loop, folder)
                stack.callback(worker.process.communicate)
                stack.callback(worker.process.kill)
        yield made


def measure_all(
    peers: Sequence[str], settings: Sequence[Setting], rounds: int, part: int
) -> Results:
    """In turn, round after round: a machine is not equally busy all the time."""
    results: Results = {}
    loops = list(dict.fromkeys(setting.loop for setting in settings))
    with (
        tempfile.TemporaryDirectory() as folder,
        _gateway.started(Path(folder)) as urls,
        started_workers(peers, loops, Path(folder)) as workers,
    ):
        for turn in range(rounds):
            for setting in settings:
                for name in peers:
                    worker, calls = workers.get((name, setting.loop)), calls_of(name, setting, turn)
                    if worker is None or not calls:
                        continue
                    cell = worker.measure(urls, setting, max(calls // part, 40))
                    if cell is not None:
                        results.setdefault((name, setting), {})[turn] = cell
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
    return results


def calls_of(name: str, setting: Setting, turn: int) -> int:
    """How many calls are measured; none where it would take too long."""
    peer = PEERS[name]
    if setting.in_flight in peer.once and (turn or setting.panel != ("http", "asyncio")):
        return 0
    if setting.scheme == "https" and setting.in_flight > 500 and turn:
        return 0  # two thousand handshakes for each peer
    return peer.calls.get(setting.in_flight, 0)


def ratios(
    results: Results, peer: str, setting: Setting, *, by: str = MEASURE, of: str = "microseconds"
) -> list[float]:
    """Of each round: this peer's figure, as a multiple of another's."""
    mine, theirs = results.get((peer, setting), {}), results.get((by, setting), {})
    return [
        getattr(cell, of) / getattr(theirs[turn], of)
        for turn, cell in mine.items()
        if turn in theirs
    ]


def show(results: Results) -> None:
    peers = list(dict.fromkeys(peer for peer, _ in results))
    settings = list(dict.fromkeys(setting for _, setting in results))
    for scheme, loop in dict.fromkeys(setting.panel for setting in settings):
        columns = [each for each in settings if each.panel == (scheme, loop)]
        head = [f"{each.in_flight:,} in flight" for each in columns]
        print(
            f"CPU of the client a call, {scheme} on {loop}, as a multiple of aiohttp's bare POST\n"
        )
        rows: list[list[str]] = [[f"{MEASURE}, microseconds", "bare POST"]]
        for each in columns:
            cells = results.get((MEASURE, each), {}).values()
            rows[0].append(spread([cell.microseconds for cell in cells], ".0f"))
        for peer in peers:
            if any(figures := [spread(ratios(results, peer, each)) for each in columns]):
                kind = "signed call" if PEERS[peer].signs else "bare POST"
                rows.append([peer, kind, *figures])
        print_table(["", "", *head], [row for row in rows if row[0] != MEASURE])
        print(f"Calls a second, {scheme} on {loop}\n")
        rates = []
        for peer in peers:
            found = [results.get((peer, each), {}).values() for each in columns]
            if any(found):
                rates.append([peer, *(spread([c.rate for c in cells], ",.0f") for cells in found)])
        print_table(["", *head], rates)
    show_gateway(results)


def show_gateway(results: Results) -> None:
    for scheme in dict.fromkeys(setting.scheme for _, setting in results):
        each = [
            cell.gateway
            for (peer, setting), cells in results.items()
            if setting.scheme == scheme and setting.in_flight <= 100 and peer == MEASURE
            for cell in cells.values()
        ]
        if each:
            most = 1e6 / median(each)
            print(
                f"The gateway spends {spread(each, '.0f')} microseconds of its own on a request by "
                f"{scheme}: {most:,.0f} calls a second are the most that can be seen here.\n"
            )


def verdicts(results: Results) -> None:
    settings = sorted({each for _, each in results}, key=lambda each: (each.loop, each.in_flight))
    for door, bound in ((FAST, 1.0), (DEFAULT, 2.0)):
        for setting in settings:
            found = ratios(results, door, setting)
            if setting.scheme == "http" and found:
                where = f"{setting.loop}, {setting.in_flight:,} in flight"
                judge(f"{door} / a bare POST, {where}", found, "<=", bound)
    setting = Setting("http", "asyncio", RATE_AT)
    if found := ratios(results, FAST, setting, by=SDK, of="rate"):
        judge(f"calls a second, {FAST} / {SDK}, {RATE_AT} in flight", found, ">=", 10)


def pictures(results: Results) -> tuple[str, str]:
    """Of what a call costs, and of calls a second; a line for each peer."""
    costs: dict[str, dict[str, dict[int, list[float]]]] = {}
    rates: dict[str, dict[str, dict[int, list[float]]]] = {}
    for (peer, setting), cells in results.items():
        where = f"{setting.scheme}, {setting.loop}"
        line = rates.setdefault(f"Calls a second: {where}", {}).setdefault(peer, {})
        line[setting.in_flight] = [cell.rate for cell in cells.values()]
        if found := ratios(results, peer, setting):
            line = costs.setdefault(f"CPU / a bare POST: {where}", {}).setdefault(peer, {})
            line[setting.in_flight] = found
    axis = "calls in flight"
    return (
        charts.draw(costs, axis, is_logarithmic=True),
        charts.draw(rates, axis, is_logarithmic=True),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a look, in a minute")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS, metavar="PEER")
    parser.add_argument("--schemes", nargs="*", default=["http", "https"])
    parser.add_argument("--picture", type=Path, help="draw this SVG, and ..._rates.svg")
    options = parser.parse_args()
    for name in options.peers:
        if not PEERS[name].is_installed():
            print(f"{name} is left out: it is not installed", file=sys.stderr)
    peers = [name for name in PEERS if name in options.peers and PEERS[name].is_installed()]
    loops = ["asyncio", *(["uvloop"] if find_spec("uvloop") else [])]
    settings = [
        Setting(scheme, loop, in_flight)
        for scheme in options.schemes
        for loop in loops
        for in_flight in (QUICK if options.quick else IN_FLIGHT)
    ]
    print_setting(*LIBRARIES)
    rounds, part = (1, 5) if options.quick else (options.rounds, 1)
    results = measure_all(peers, settings, rounds, part)
    show(results)
    verdicts(results)
    if options.picture:
        costs, rates = pictures(results)
        options.picture.write_text(costs)
        options.picture.with_stem(f"{options.picture.stem}_rates").write_text(rates)


if __name__ == "__main__":
    main()
