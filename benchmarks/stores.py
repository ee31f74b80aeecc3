"""The cost of a store: grants a second, and how it depends on the number of records.

    python benchmarks/stores.py [--large 1000000] [--rounds N] [--directory DIRECTORY]

A grant is a body of 1,200 bytes, put over the one before and durable when ``put`` returns. How
long that takes is up to the disk; ``DIRECTORY`` chooses it. Each number is the median of rounds
that were run in turns, with their lowest and highest.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import anyio
import charts
from _report import judge, print_setting, print_table, spread
from attrs import evolve

from iop_async._records import Record
from iop_async.stores import SQLiteStore
from iop_async.stores._sqlite import _rows

SCOPE = "12345678@api.taobao.global"
START = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b"x" * 1_200
Ratios = dict[str, list[float]]
"""By what was measured: in each round, as a multiple of what it is measured against."""


def grant(n: int) -> Record:
    """One of many, not due for long."""
    return Record(
        scope=SCOPE,
        seller_id=f"seller-{n}",
        seller_ids=(f"seller-{n}",),
        due_at=START + timedelta(days=30, seconds=n),
        dies_at=START + timedelta(days=180, seconds=n * 7_919 % 999_983),
        body=BODY,
    )


async def grants_a_second(directory: Path, writers: int, grants: int) -> float:
    """The grants a second that a number of writers put."""
    path = directory / f"{writers}-{perf_counter()}.db"
    async with SQLiteStore(path) as store:
        records = [await store.put(grant(n)) for n in range(writers)]

        async def write(n: int) -> None:
            for _ in range(grants // writers):
                records[n] = await store.put(records[n])

        begun = perf_counter()
        async with anyio.create_task_group() as tasks:
            for n in range(writers):
                tasks.start_soon(write, n)
        taken = perf_counter() - begun
    path.unlink()
    return grants / taken


async def fill(path: Path, count: int) -> None:
    """A store of so many records, one of which is due."""
    async with SQLiteStore(path) as store:
        await store.put(evolve(grant(count), due_at=START))
    values = (_rows.values(grant(n), None) for n in range(count - 1))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        with db:
            db.executemany(
                """INSERT INTO records (scope, seller, sellers, due_at, dies_at,
                    generation, revision, body) VALUES (:scope, :seller, :sellers, :due_at,
                    :dies_at, :generation, 1, :body)""",
                values,
            )
            db.execute(
                """INSERT OR IGNORE INTO sellers (scope, seller, record)
                SELECT scope, seller, id FROM records ORDER BY scope, seller"""
            )


async def open_and_look(path: Path) -> dict[str, float]:
    """Seconds to open a store and learn when something is due, to claim it, to find nothing."""
    begun = perf_counter()
    async with SQLiteStore(path) as store:
        assert await store.next_due(SCOPE) == START
        opened = perf_counter()
        (due,) = await store.claim(SCOPE, due_by=START, limit=50, holder="a", seconds=60)
        claimed = perf_counter()
        assert not await store.claim(SCOPE, due_by=START, limit=50, holder="a", seconds=60)
        nothing = perf_counter()
        await store.lease(SCOPE, due.seller_id, holder="a", seconds=0)
    return {
        "open, next_due": opened - begun,
        "claim the one due": claimed - opened,
        "claim, nothing due": nothing - claimed,
    }


async def claim_of_many(path: Path, due_by: datetime) -> float:
    """Seconds to claim fifty of many due records, earliest expiry first."""
    async with SQLiteStore(path) as store:
        begun = perf_counter()
        claimed = await store.claim(SCOPE, due_by=due_by, limit=50, holder="a", seconds=60)
        taken = perf_counter() - begun
        assert len(claimed) == 50
        for record in claimed:
            await store.lease(SCOPE, record.seller_id, holder="a", seconds=0)
    return taken


def compare_writers(directory: Path, rounds: int) -> Ratios:
    """Grants a second, one by one and together."""
    rates: dict[int, list[float]] = {1: [], 20: [], 100: []}
    for _ in range(rounds):
        for writers, found in rates.items():
            grants = 500 if writers == 1 else 4_000
            found.append(anyio.run(grants_a_second, directory, writers, grants))
    names = {1: "one by one", 20: "20 writers at once", 100: "100 writers at once"}
    ratios = {
        names[writers]: [rate / alone for rate, alone in zip(found, rates[1], strict=True)]
        for writers, found in rates.items()
    }
    print("Grants a second, each durable before its `put` returns\n")
    print_table(
        ["", "grants a second", "times one by one"],
        [
            [name, spread(rates[writers], ",.0f"), spread(ratios[name], ".1f")]
            for writers, name in names.items()
        ],
    )
    return ratios


def compare_sizes(directory: Path, small: int, large: int, rounds: int) -> Ratios:
    """The cost of opening and of finding due records, among few and among many."""
    paths = {size: directory / f"{size}.db" for size in (small, large)}
    for size, path in paths.items():
        anyio.run(fill, path, size)
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds * 3):
        for size, path in paths.items():
            for name, taken in anyio.run(open_and_look, path).items():
                times.setdefault((name, size), []).append(taken * 1e3)
    for _ in range(rounds):
        for due in (small // 2, small - 1):
            for size, path in paths.items():
                taken = anyio.run(claim_of_many, path, START + timedelta(days=30, seconds=due))
                times.setdefault((f"claim 50 of {due:,} due", size), []).append(taken * 1e3)
    ratios = {
        name: [
            much / little
            for much, little in zip(times[name, large], times[name, small], strict=True)
        ]
        for name in dict.fromkeys(name for name, _ in times)
    }
    megabytes = [f"file of {path.stat().st_size / 1e6:,.0f} MB" for path in paths.values()]
    print(f"Milliseconds among {small:,} records ({megabytes[0]}) and {large:,} ({megabytes[1]})\n")
    print_table(
        ["", f"{small:,} records", f"{large:,} records", "ratio"],
        [
            [name, spread(times[name, small]), spread(times[name, large]), spread(ratios[name])]
            for name in ratios
        ],
    )
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--picture", type=Path, help="draw an SVG")
    options = parser.parse_args()
    print_setting("iop-async")
    with tempfile.TemporaryDirectory(dir=options.directory) as made:
        writers = compare_writers(Path(made), options.rounds)
        sizes = compare_sizes(Path(made), options.small, options.large, options.rounds)
    for name, bound in (("20 writers at once", 2.0), ("100 writers at once", 3.0)):
        judge(f"{name} / one by one", writers[name], ">=", bound)
    among = f"{options.large:,} / {options.small:,} records"
    for name, found in sizes.items():
        judge(f"{name}: {among}", found, "<=", 2.0 if "50" in name else 1.5)
    if options.picture:
        groups = {"grants a second, times one by one": writers, f"time, {among}": sizes}
        options.picture.write_text(charts.bars(groups))


if __name__ == "__main__":
    main()
