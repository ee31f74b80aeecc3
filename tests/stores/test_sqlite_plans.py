"""Finding what is due costs the same among a thousand records and among a million."""

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from store_helpers import SCOPE, record, run

from iop_async.stores import SQLiteStore
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
    await store.lease(SCOPE, "1", holder="a", seconds=60)
    await store.lease(SCOPE, "1", holder="b", seconds=0)
    await store.lease(SCOPE, "1", holder="a", seconds=0)
    await store.claim(SCOPE, due_by=START, limit=2, holder="a", seconds=60)
    await store.next_due(SCOPE)
    await store.remove(SCOPE, "taker")
    return [one async for one in store.records(SCOPE)]


@pytest.mark.parametrize("few", [1_000, 2], ids=["few are due", "many are due"])
def test_no_statement_looks_at_all_records(path, statements, monkeypatch, few):
    """None scans a table or an index, and none sorts; SQLite itself says so."""
    monkeypatch.setattr(_leases, "FEW", few)

    async def main():
        async with SQLiteStore(path) as store:
            await everything(store)

    run(main)
    verbs = ("SELECT", "UPDATE", "INSERT", "DELETE")
    asked = {one for one in statements if one.startswith(verbs)}
    assert any("records_by_death" in one for one in asked) == (few == 2)
    assert any("records_by_due" in one for one in asked)
    with closing(sqlite3.connect(path)) as db:
        for statement in asked:
            steps = [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
            for step in steps:
                allowed = step.startswith(("SEARCH", "CO-ROUTINE", "SCALAR SUBQUERY", "MULTI"))
                # the rows that a sub-query found, which are no more than it was limited to
                assert allowed or step.startswith("SCAN (subquery"), (statement, steps)


def test_due_records_are_found_in_the_index_alone(path, statements):
    """Their bodies are read only once they are leased."""

    async def main():
        async with SQLiteStore(path) as store:
            await everything(store)

    run(main)
    with closing(sqlite3.connect(path)) as db:
        values = {"scope": SCOPE, "due_by": 1, "now": 1, "latest": 2, "limit": 1}
        queries = {"records_by_due": _leases.DUE, "records_by_death": _leases.EXPIRING}
        for name, query in queries.items():
            plan = [step[3] for step in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]
            assert any(f"USING COVERING INDEX {name}" in step for step in plan)


@pytest.mark.parametrize("few", [1_000, 3], ids=["few are due", "many are due"])
def test_both_ways_to_find_what_is_due_find_the_same(path, monkeypatch, few):
    """Earliest death first, whichever way is taken."""
    monkeypatch.setattr(_leases, "FEW", few)
    chance = random.Random(3)
    deaths = {f"{n}": START + chance.randrange(10**6) * MINUTE / 60 for n in range(300)}

    async def main():
        async with SQLiteStore(path, now=lambda: START) as store:
            for seller, dies_at in deaths.items():
                due_at = START + chance.choice((-1, 1)) * MINUTE
                await store.put(record(seller, due_at=due_at, dies_at=dies_at))
            due = [one async for one in store.records(SCOPE) if one.due_at < START]
            for one in due[::5]:
                await store.lease(SCOPE, one.seller_id, holder="other", seconds=600)
            expected = sorted(
                (one.seller_id for one in due if one not in due[::5]), key=deaths.__getitem__
            )
            found = []
            while some := await store.claim(SCOPE, due_by=START, limit=7, holder="a", seconds=600):
                found += [one.seller_id for one in some]
            assert found == expected

    run(main)
