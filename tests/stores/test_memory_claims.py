"""Claims in memory cost the same however many are due, or leased."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from attrs import evolve
from store_helpers import SCOPE, record

from iop_async.stores import MemoryStore, _memory

START = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

compared = Counter()


class Moment(datetime):
    """A moment that counts how often it is compared."""

    def __lt__(self, other):
        compared["moments"] += 1
        return super().__lt__(other)

    def __eq__(self, other):
        compared["moments"] += 1
        return super().__eq__(other)

    __hash__ = datetime.__hash__


def moment(micros):
    at = START + timedelta(microseconds=micros)
    return Moment.fromtimestamp(at.timestamp(), UTC)


@pytest.fixture
def store():
    return MemoryStore(now=lambda: START)


async def claim(store, **options):
    facts = {"due_by": START, "limit": 20, "holder": "a", "seconds": 60, **options}
    return [one.seller_id for one in await store.claim(SCOPE, **facts)]


async def cost_of_a_claim(due, leased):
    store = MemoryStore(now=partial(moment, 0))
    for n in range(leased):
        await store.put(record(f"leased {n}", due_at=moment(-n - due)))
    assert len(await claim(store, limit=leased)) == leased
    for n in range(due):
        await store.put(record(f"{n}", due_at=moment(-n), dies_at=moment(n * 7_919 % due)))
    await claim(store)
    compared.clear()
    assert len(await claim(store)) == 20
    return compared["moments"]


async def test_a_claim_costs_the_same_however_many_are_due_or_leased():
    """In comparisons, of which those among many are more by some steps of binary searches."""
    few = await cost_of_a_claim(600, 0)
    assert await cost_of_a_claim(9_000, 0) <= 1.5 * few
    assert await cost_of_a_claim(600, 9_000) <= 1.5 * few


async def test_the_earliest_expiry_of_those_that_fell_due_first_is_claimed(store, monkeypatch):
    """Among as many as a claim looks at."""
    monkeypatch.setattr(_memory, "CLAIM_WINDOW", 3)
    for n in range(6):
        await store.put(record(f"{n}", due_at=START - (9 - n) * MINUTE, dies_at=START - n * MINUTE))
    assert await claim(store, limit=2) == ["2", "1"]
    assert await claim(store, limit=4) == ["5", "4", "3", "0"]


async def test_indexes_hold_what_there_is_and_nothing_else(store):
    """After every kind of change: no record is claimed twice, or not at all."""
    kept = [await store.put(record(f"{n}", f"{n}+", due_at=START)) for n in range(6)]
    await store.put(evolve(kept[0], due_at=None))
    await store.put(evolve(kept[1], due_at=START + MINUTE))
    await store.remove(SCOPE, "2")
    await store.put(record("taker", "3", "3+"))
    await store.lease(SCOPE, "4", holder="b", seconds=60)
    assert await claim(store) == ["5"]
    assert await claim(store) == []
    await store.put(kept[4], release="b")
    await store.remove(SCOPE, "5")
    assert await claim(store, due_by=START + MINUTE) == ["4", "1"]
    assert await claim(store, due_by=START + MINUTE) == []
    assert await store.next_due(SCOPE) == START + MINUTE
