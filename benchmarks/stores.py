"""What a store costs: grants a second, and what it matters how many there are.

    python benchmarks/stores.py [--large 1000000] [--directory DIRECTORY]

A grant is a body of 1,200 bytes, put over the one before and durable when ``put`` returns. How
long that takes is up to the disk; ``DIRECTORY`` chooses it. Each number is the median of rounds
that were run in turns, with their lowest and highest.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio
from attrs import evolve

from iop_async._records import Record
from iop_async.stores import SQLiteStore
from iop_async.stores._sqlite import _rows

SCOPE = "12345678@api.taobao.global"
START = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b"x" * 1_200
ROUNDS = 7


def grant(n: int) -> Record:
    """One of many, not due for long."""
    return Record(
        scope=SCOPE,
        seller=f"seller-{n}",
        sellers=(f"seller-{n}",),
        due_at=START + timedelta(days=30, seconds=n),
        dies_at=START + timedelta(days=180, seconds=n * 7_919 % 999_983),
        body=BODY,
    )


async def grants_a_second(directory: Path, writers: int, grants: int) -> float:
    """How many grants a number of writers put in a second."""
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


async def open_and_look(path: Path) -> tuple[float, ...]:
    """Seconds to open a store and learn when something is due, to claim it, to find nothing."""
    begun = perf_counter()
    async with SQLiteStore(path) as store:
        assert await store.next_due(SCOPE) == START
        opened = perf_counter()
        (due,) = await store.claim(SCOPE, due_by=START, limit=50, holder="a", seconds=60)
        claimed = perf_counter()
        assert not await store.claim(SCOPE, due_by=START, limit=50, holder="a", seconds=60)
        nothing = perf_counter()
        await store.lease(SCOPE, due.seller, holder="a", seconds=0)
        assert await store.get(SCOPE, "seller-7") is not None
    return opened - begun, claimed - opened, nothing - claimed


async def claim_of_many(path: Path, due_by: datetime) -> float:
    """Seconds to claim the fifty of many due records that die first."""
    async with SQLiteStore(path) as store:
        begun = perf_counter()
        claimed = await store.claim(SCOPE, due_by=due_by, limit=50, holder="a", seconds=60)
        taken = perf_counter() - begun
        assert len(claimed) == 50
        for record in claimed:
            await store.lease(SCOPE, record.seller, holder="a", seconds=0)
    return taken


def spread(values: list[float], form: Callable[[float], str]) -> str:
    return f"{form(median(values)):>9}   ({form(min(values))} to {form(max(values))})"


def whole(value: float) -> str:
    return f"{value:,.0f}"


def milliseconds(value: float) -> str:
    return f"{value * 1000:,.2f} ms"


def grant_table(directory: Path) -> Iterator[str]:
    """Grants a second, one by one and together."""
    rates: dict[int, list[float]] = {1: [], 20: [], 100: []}
    for _ in range(ROUNDS):
        for writers, found in rates.items():
            grants = 500 if writers == 1 else 4_000
            found.append(anyio.run(grants_a_second, directory, writers, grants))
    yield "grants a second, each durable before its put returns"
    alone = median(rates[1])
    for writers, found in rates.items():
        name = "one by one" if writers == 1 else f"{writers} writers at once"
        yield f"  {name:<24}{spread(found, whole)}   x {median(found) / alone:.1f}"


def size_table(directory: Path, small: int, large: int) -> Iterator[str]:
    """What opening and finding the first due record costs, among few and among many."""
    sizes = (small, large)
    paths = {size: directory / f"{size}.db" for size in sizes}
    for size, path in paths.items():
        anyio.run(fill, path, size)
    names = ("open, next_due", "claim the one due", "claim, nothing due")
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS * 3):
        for size, path in paths.items():
            for name, taken in zip(names, anyio.run(open_and_look, path), strict=True):
                times.setdefault((name, size), []).append(taken)
    half = f"claim 50 of {small // 2:,} due"
    nearly = f"claim 50 of {small - 1:,} due"
    many = {half: timedelta(days=30, seconds=small // 2), nearly: timedelta(days=30, seconds=small)}
    for _ in range(ROUNDS):
        for size, path in paths.items():
            for name, later in many.items():
                taken = anyio.run(claim_of_many, path, START + later)
                times.setdefault((name, size), []).append(taken)
    yield f"{'':<26}{small:>12,} records{'':<22}{large:>12,} records{'':<18}ratio"
    for name in (*names, *many):
        of_small, of_large = times[name, small], times[name, large]
        ratio = median(of_large) / median(of_small)
        left, right = spread(of_small, milliseconds), spread(of_large, milliseconds)
        yield f"  {name:<24}{left:<42}{right:<42}{ratio:.2f}"
    megabytes = [path.stat().st_size / 1e6 for path in paths.values()]
    yield f"  {'file':<24}{megabytes[0]:>6,.0f} MB{'':<33}{megabytes[1]:>6,.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as made:
        directory = Path(made)
        for line in grant_table(directory):
            print(line, flush=True)
        print()
        for line in size_table(directory, options.small, options.large):
            print(line, flush=True)


if __name__ == "__main__":
    main()
