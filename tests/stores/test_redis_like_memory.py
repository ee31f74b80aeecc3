"""What the scripts decide is what a store of a few lines decides, whatever is asked of it."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from redis_servers import own_prefix
from services import REDIS
from store_helpers import SCOPE, record

from iop_async import StaleRecord
from iop_async._records import Record
from iop_async.stores import MemoryStore
from iop_async.stores._redis import RedisStore, _claims

SELLERS = "abcdef"
HOLDERS = "xy"
LATER = timedelta(hours=2)
"""After the leases, which last for an hour."""


class RandomQuestions:
    """Asks something at random; what it asks does not depend on the store."""

    def __init__(self, seed):
        self.start = datetime.now(UTC)
        self.chance = random.Random(seed)
        self.known = [record(seller) for seller in SELLERS]

    def moment(self):
        seconds = timedelta(seconds=self.chance.randrange(-9, 9), microseconds=1)
        return self.start + seconds + self.chance.choice((0, 0, 0, 1)) * LATER

    def change(self):
        seller, *more = self.chance.sample(SELLERS, self.chance.choice((1, 1, 2, 3)))
        revision = 0
        if self.chance.random() < 0.7:
            kept = self.chance.choice(self.known[-8:])
            seller, revision = kept.seller_id, kept.revision
            more = [one for one in more if one != seller]
            if self.chance.random() < 0.5:
                more = [one for one in kept.seller_ids if one != seller]
        return Record(
            scope=SCOPE,
            seller_id=seller,
            seller_ids=tuple(self.chance.sample([seller, *more], len(more) + 1)),
            revision=revision,
            due_at=self.chance.choice((None, self.moment(), self.moment())),
            # all different, because stores may order equals as they like
            dies_at=self.start + timedelta(microseconds=self.chance.randrange(10**12)),
            body=self.chance.choice((b"1", b"2")),
        )

    def question(self):
        seller, holder = self.chance.choice(SELLERS), self.chance.choice(HOLDERS)
        kind = self.chance.choice(("put", "put", "put", "again", "lease", "claim", "remove"))
        if kind == "put":
            change, release = self.change(), self.chance.choice((None, holder))
            return lambda store: store.put(change, release=release)
        if kind == "again":
            kept = self.chance.choice(self.known[-4:])
            again = evolve(kept, revision=self.chance.choice((0, max(kept.revision - 1, 0))))
            return lambda store: store.put(again, release=holder)
        if kind == "lease":
            seconds = self.chance.choice((0, 3600))
            return lambda store: store.lease(SCOPE, seller, holder=holder, seconds=seconds)
        if kind == "claim":
            due_by, limit = self.moment(), self.chance.randrange(4)
            return lambda store: store.claim(
                SCOPE, due_by=due_by, limit=limit, holder=holder, seconds=3600
            )
        return lambda store: store.remove(SCOPE, seller)


async def answer(attempt):
    try:
        return await attempt
    except StaleRecord as refused:
        return str(refused)


async def state(store, start):
    kept = {one.seller_id: one async for one in store.records(SCOPE)}
    found = {seller: await store.get(SCOPE, seller) for seller in SELLERS}
    following = await store.next_due(SCOPE)
    ends = following and start + LATER / 4 < following < start + LATER * 3 / 4
    return kept, found, "a lease ends" if ends else following


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.drill) for seed in range(2, 8))]
)
async def test_it_answers_as_a_store_in_memory_does(seed, monkeypatch):
    """Names taken over, revisions, repetitions, leases, claims in small steps, next due times."""
    monkeypatch.setattr(_claims, "BATCH", 2)
    questions = RandomQuestions(seed)
    memory = MemoryStore()
    with own_prefix() as prefix:
        async with RedisStore(REDIS, prefix=prefix) as store:
            for _ in range(250):
                ask = questions.question()
                expected = await answer(ask(memory))
                assert await answer(ask(store)) == expected
                start = questions.start
                assert await state(store, start) == await state(memory, start)
                if hasattr(expected, "revision"):
                    questions.known.append(expected)
