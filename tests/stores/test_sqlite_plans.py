"""Finding what is due costs the same among a thousand records and among a million."""

import random
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from attrs import evolve
from store_helpers import SCOPE, filled, record, rows, run

from iop_async.stores import SQLiteStore
from iop_async.stores._columns import to_micros
from iop_async.stores._contract import CLAIM_WINDOW
from iop_async.stores._sqlite import _leases, _sessions

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tokens.db"


@pytest.fixture
def statements(monkeypatch):
    """Every statement that SQLite is given, with its values."""
    seen = []
    connect = _sessions._file.connect

    def traced(path, options):
        db = connect(path, options)
        if options == "mode=rw":
            db.set_trace_callback(seen.append)
        return db

    monkeypatch.setattr(_sessions._file, "connect", traced)
    return seen


async def everything(store):
    """One use of every method, and of every way through it."""
    for n in range(5):
        await store.put(record(f"{n}", f"also {n}", due_at=START, dies_at=START + n * MINUTE))
    kept = await store.get(SCOPE, "also 1")
    kept = await store.put(evolve(kept, body=b"new"))
    kept = await store.put(evolve(kept, seller_ids=("1", "also 2")))
    await store.put(record("taker", "also 3", "3"))
    await store.put_many([record(f"many {n}", f"also {n}") for n in range(3)])
    await store.get_many(SCOPE, ["1", "also 2", "nobody"])
    await store.lease(SCOPE, "1", holder="a", seconds=60)
    await store.lease(SCOPE, "1", holder="b", seconds=0)
    await store.lease(SCOPE, "1", holder="a", seconds=0)
    await store.claim(SCOPE, due_by=START, limit=2, holder="a", seconds=60)
    await store.next_due(SCOPE)
    await store.remove(SCOPE, "taker")
    return [one async for one in store.records(SCOPE)]


def plan(db, statement, **values):
    return [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {statement}", values)]


def test_no_statement_looks_at_all_records(path, statements):
    """None scans a table or an index, and none sorts but the window of a claim; so says SQLite."""

    async def main():
        async with SQLiteStore(path) as store:
            await everything(store)

    run(main)
    verbs = ("SELECT", "UPDATE", "INSERT", "DELETE")
    asked = {one for one in statements if one.startswith(verbs) and "sqlite_master" not in one}
    assert any("records_by_due" in one for one in asked)
    allowed = ("SEARCH", "CO-ROUTINE", "SCALAR SUBQUERY", "LIST SUBQUERY", "MULTI",
               "COMPOUND QUERY", "LEFT-MOST SUBQUERY", "UNION ALL")  # fmt: skip
    with closing(sqlite3.connect(path)) as db:
        for statement in asked:
            steps = plan(db, statement)
            for before, step in pairwise(["", *steps]):
                # the rows that a sub-query found, which are no more than it was limited to, or
                # the names that a statement was given
                is_window = before == "SCAN (subquery-1)" and step == "USE TEMP B-TREE FOR ORDER BY"
                is_bounded = step.startswith(("SCAN (subquery", "SCAN json_each")) or is_window
                assert step.startswith(allowed) or is_bounded, (statement, steps)


def test_due_records_are_found_in_the_index_alone(path, statements):
    """Their bodies are read only once they are leased."""

    async def main():
        async with SQLiteStore(path) as store:
            await everything(store)

    run(main)
    with closing(sqlite3.connect(path)) as db:
        steps = plan(db, _leases.DUE, scope=SCOPE, due_by=1, window=1, limit=1)
        assert "SEARCH records USING COVERING INDEX records_by_death" in " ".join(steps)
        assert steps.count("USE TEMP B-TREE FOR ORDER BY") == 1  # of the window


def test_the_earliest_expiry_of_those_that_fell_due_first_is_claimed(path, monkeypatch):
    """Among as many as a claim looks at; none that is leased takes a place of theirs."""
    monkeypatch.setattr(_leases, "CLAIM_WINDOW", 30)
    chance = random.Random(3)
    deaths = {f"{n}": START + chance.randrange(10**6) * MINUTE / 60 for n in range(100)}

    async def main():
        async with SQLiteStore(path, now=lambda: START) as store:
            for n, (seller, dies_at) in enumerate(deaths.items()):
                due_at = START + (n - 90) * MINUTE
                await store.put(record(seller, due_at=due_at, dies_at=dies_at))
            waiting = list(deaths)[:91]
            for seller in waiting[::5]:
                await store.lease(SCOPE, seller, holder="other", seconds=600)
            del waiting[::5]
            while waiting:
                expected = sorted(waiting[:30], key=deaths.__getitem__)[:7]
                some = await store.claim(SCOPE, due_by=START, limit=7, holder="a", seconds=600)
                assert [one.seller_id for one in some] == expected
                waiting = [seller for seller in waiting if seller not in expected]
            assert not await store.claim(SCOPE, due_by=START, limit=7, holder="a", seconds=600)

    run(main)


def insert(path, count, **columns):
    """Write records behind the back of the store: due, and of a scope that is not leased."""
    facts = {"due_at": to_micros(START), "lease_until": None, **columns}
    with closing(sqlite3.connect(path)) as db, db:
        db.executemany(
            """INSERT INTO records (scope, seller, sellers, due_at, dies_at, generation, revision,
                lease_holder, lease_until, body)
            VALUES (?, ?, ?, ?, ?, 0, 1, 'other', ?, x'7b7d')""",
            [
                (SCOPE, f"{n}", f'["{n}"]', facts["due_at"], n * 7_919 % 999_983,
                 facts["lease_until"])
                for n in range(count)
            ],
        )  # fmt: skip


@pytest.fixture
def steps(monkeypatch):
    """Counts the steps of SQLite's machine."""
    counted = Counter()
    connect = _sessions._file.connect

    def counting(path, options):
        db = connect(path, options)
        db.set_progress_handler(lambda: counted.update(["steps"]), 1)
        return db

    monkeypatch.setattr(_sessions._file, "connect", counting)
    return counted


def steps_of_claims(path, steps):
    """What the second claim of twenty costs, and finding out when to claim next."""

    async def main():
        async with SQLiteStore(path, now=lambda: START) as store:
            for _ in range(2):
                steps.clear()
                options = {"due_by": START, "limit": 20, "holder": "a", "seconds": 60}
                assert len(await store.claim(SCOPE, **options)) == 20
            claimed = steps["steps"]
            assert await store.next_due(SCOPE) == START
            return claimed

    return run(main)


def test_a_claim_costs_the_same_however_many_are_due_or_leased(tmp_path, steps):
    """Within a tenth, in steps of SQLite's machine."""
    costs = {}
    for due, leased in ((600, 0), (20_000, 0), (600, 10_000)):
        path = tmp_path / f"{due}-{leased}.db"
        run(lambda path=path: filled(path, count=0))
        insert(path, due)
        insert(path, leased, lease_until=to_micros(START + MINUTE), due_at=1)
        costs[due, leased] = steps_of_claims(path, steps)
    assert max(costs.values()) <= 1.1 * min(costs.values()), costs


def test_leases_that_ended_are_passed_once(tmp_path, steps):
    """Those of a host that died: the next claims end them, some at a time, and no more is done."""
    path = tmp_path / "tokens.db"
    run(lambda: filled(path, count=0))
    insert(path, 3 * CLAIM_WINDOW, lease_until=1)

    async def main():
        async with SQLiteStore(path, now=lambda: START) as store:
            options = {"due_by": START, "limit": 20, "holder": "a", "seconds": 60}
            for _ in range(4):
                assert len(await store.claim(SCOPE, **options)) == 20
            assert await store.next_due(SCOPE) == START

    run(main)
    query = "SELECT count(*) FROM records WHERE lease_until = 1"
    assert rows(path, query) == [(0,)]
