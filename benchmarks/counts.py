"""What a call and a refresh cost, counted, against the release before: what must not grow.

Function calls, SQL statements, commits and instructions, none of which a busy machine changes. The
package of the baseline is taken from git and runs with the same Python and the same libraries, so
that the project alone makes the difference. ::

    python benchmarks/counts.py
    python benchmarks/counts.py --against HEAD~3
    python benchmarks/counts.py --set-baseline      # at a release
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from counts_work import COUNTED, WORK
from tokens import Gateway, gateway

ROOT = Path(__file__).resolve().parents[1]
BASELINE = Path(__file__).with_name("counts.json")

MAY_GROW = {"calls": 0.02, "statements": 0.0, "commits": 0.0, "instructions": 0.03}
"""Several times what two runs of one commit differ by."""

Counts = Mapping[str, Mapping[str, float]]
"""By the work, then by what is counted."""


class Row(NamedTuple):
    """One count, before and now."""

    work: str
    what: str
    before: float
    now: float

    @property
    def ratio(self) -> float:
        if self.before:
            return self.now / self.before
        return float("inf") if self.now else 1.0

    @property
    def has_grown(self) -> bool:
        """By more than it may."""
        return self.now > self.before * (1 + MAY_GROW[self.what])


def compare(before: Counts, now: Counts) -> list[Row]:
    """A row for everything that is counted now, but for what never was anything."""
    return [
        Row(work, what, before[work][what], count)
        for work, counts in now.items()
        for what, count in counts.items()
        if count or before[work][what]
    ]


def merged(*counts: Counts) -> Counts:
    return {work: {what: n for each in counts for what, n in each[work].items()} for work in WORK}


def profiled(tree: Path, url: str) -> Counts:
    return run(tree, [sys.executable], url)


def instructions(tree: Path, url: str) -> Counts:
    """Counted by valgrind between the marks before and after each work."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        options = ["-q", "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-before=getpgrp"]
        run(tree, ["valgrind", *options, sys.executable], url, "--under-valgrind")
        # The first file of each pair ends where the work begins.
        files = [Path(f"{out}.{2 * number}") for number in range(1, len(WORK) + 1)]
        totals = [int(file.read_text().partition("\ntotals: ")[2].split()[0]) for file in files]
    return {
        work: {"instructions": total / COUNTED} for work, total in zip(WORK, totals, strict=True)
    }


def run(tree: Path, python: list[str], url: str, *options: str) -> Counts:
    """The counts that a process prints which works with the package in ``tree``."""
    script = str(Path(__file__).with_name("counts_work.py"))
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}
    command = [*python, script, url, *options]
    ended = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    printed = json.loads(ended.stdout)
    assert Path(printed["package"]).is_relative_to(tree), printed["package"]
    counts: Counts = printed["counts"]
    return counts


@contextmanager
def package_of(commit: str) -> Iterator[Path]:
    """A folder with the package as it was in a commit."""
    known = ["git", "cat-file", "-e", f"{commit}^{{commit}}"]
    if subprocess.run(known, check=False, cwd=ROOT, stderr=subprocess.DEVNULL).returncode:
        if git("rev-parse", "--is-shallow-repository").strip() == b"true":
            print(f"skipped: this clone is shallow, and {commit} is not in it")
            sys.exit(0)
        sys.exit(f"no commit {commit} in this clone: fetch it, or use --against or --set-baseline")
    with tempfile.TemporaryDirectory() as folder:
        packed = git("archive", commit, "iop_async")
        subprocess.run(["tar", "-x", "-C", folder], input=packed, check=True)
        yield Path(folder)


def serve() -> None:
    Gateway.latency = 0
    asyncio.run(Gateway.serve())


def git(*command: str) -> bytes:
    return subprocess.run(["git", *command], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout


def set_baseline() -> None:
    """The package as it is committed is what later commits are compared with."""
    from iop_async import __version__

    commit = git("rev-parse", "HEAD").decode().strip()
    baseline = {"version": __version__, "commit": commit}
    BASELINE.write_text(json.dumps(baseline, indent=4) + "\n")


def show(rows: list[Row], commit: str) -> int:
    print(f"{'one':40}{'counted':14}{commit[:10]:>12}{'now':>12}{'ratio':>9}")
    for row in rows:
        verdict = "FAIL" if row.has_grown else "PASS"
        print(
            f"{row.work:40}{row.what:14}{row.before:12,.0f}{row.now:12,.0f}{row.ratio:9.3f}"
            f"  {verdict} (<= {1 + MAY_GROW[row.what]:.2f})"
        )
    return any(row.has_grown for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="instead of the baseline")
    parser.add_argument("--set-baseline", action="store_true", help="the last commit, from now on")
    parser.add_argument("--gateway", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gateway:
        serve()
        return 0
    if options.set_baseline:
        set_baseline()
        return 0
    commit = options.against or json.loads(BASELINE.read_text())["commit"]
    with package_of(commit) as old, gateway(__file__) as url, ThreadPoolExecutor() as threads:
        trees = (old, ROOT)
        valgrind = threads.map(partial(instructions, url=url), trees)
        calls = [profiled(tree, url) for tree in trees]
        before, now = map(merged, calls, valgrind)
    return show(compare(before, now), commit)


if __name__ == "__main__":
    sys.exit(main())
