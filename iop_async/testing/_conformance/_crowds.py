"""Many tasks at once."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from random import Random

import anyio
from attrs import evolve

from ..._exceptions import StaleRecord
from ..._records import Record
from ...protocols import TokenStore
from ._harness import LONG, SCOPE, Bench, StoreTests, a_record, all_records, now, promise


def body(text: str) -> bytes:
    """A body that shows whether it is whole."""
    # longer than a page of most databases, so that half a write would show
    filler = text.encode() * 100
    return sha256(filler).digest() + filler


def is_whole(record: Record) -> bool:
    """True where no part of the record is from another write."""
    digest, filler = record.body[:32], record.body[32:]
    return sha256(filler).digest() == digest and filler.startswith(
        f"{record.seller_id}/{record.generation}/".encode()
    )


def numbered(seller_id: str, generation: int, writer: int = 0) -> Record:
    """A record whose body tells whose it is, which, and by whom."""
    return a_record(
        seller_id, generation=generation, body=body(f"{seller_id}/{generation}/{writer}")
    )


async def add(store: TokenStore, seller_id: str, times: int, writer: int = 0) -> None:
    """Raise a generation, starting over whenever somebody else was faster.

    Writers differ, because a write that is equal to one that was made counts as made.
    """
    while times:
        record = await store.get(SCOPE, seller_id)
        assert record is not None
        with suppress(StaleRecord):
            change = numbered(seller_id, record.generation + 1, writer)
            await store.put(evolve(change, revision=record.revision))
            times -= 1


async def claim_all(store: TokenStore, holder: str, claimed: list[str], there_are: int) -> None:
    """Claim until nothing is left, or more was claimed than there is."""
    while len(claimed) <= there_are and (
        records := await store.claim(SCOPE, due_by=now(), limit=7, holder=holder, seconds=LONG)
    ):
        claimed += [record.seller_id for record in records]


class Crowds(StoreTests):
    """Whatever tasks do at the same time, it is as if they did it one after the other."""

    @promise()
    async def test_of_many_equal_writers_one_wins(self, bench: Bench) -> None:
        """The others learn that they were late."""
        store = await bench.open()
        record = await store.put(a_record())
        won: list[Record] = []

        async def write(n: int) -> None:
            with suppress(StaleRecord):
                won.append(await store.put(evolve(record, body=f"{n}".encode())))

        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(write, n)
        assert len(won) == 1
        assert await store.get(SCOPE, "1001") == won[0]
        assert won[0].revision == record.revision + 1

    @promise()
    async def test_no_update_is_lost(self, bench: Bench) -> None:
        """Read, write, start over when late: every one of the writes counts."""
        store = await bench.open()
        first = await store.put(numbered("1001", 1))
        async with anyio.create_task_group() as tasks:
            for writer in range(10):
                tasks.start_soon(add, store, "1001", 10, writer)
        record = await store.get(SCOPE, "1001")
        assert record is not None
        assert (record.generation, record.revision) == (101, first.revision + 100)

    @promise()
    async def test_no_record_is_claimed_twice(self, bench: Bench) -> None:
        """By fifty claimers; and none is left out."""
        store = await bench.open()
        due_at = now() - timedelta(minutes=1)
        async with anyio.create_task_group() as tasks:
            for n in range(300):
                tasks.start_soon(store.put, a_record(f"{n}", due_at=due_at))
        claimed: list[str] = []
        async with anyio.create_task_group() as tasks:
            for n in range(50):
                tasks.start_soon(claim_all, store, f"{n}", claimed, 300)
        assert sorted(claimed) == sorted(f"{n}" for n in range(300))

    @promise()
    async def test_a_reader_never_sees_part_of_a_write(self, bench: Bench) -> None:
        """Neither one by one nor all at once, however much is being written."""
        store = await bench.open()
        seller_ids = [f"{n}" for n in range(20)]
        for seller_id in seller_ids:
            await store.put(numbered(seller_id, 1))
        times = max(1, self.many // len(seller_ids))
        seen = 0
        async with anyio.create_task_group() as reading:
            async with anyio.create_task_group() as writing:
                for seller_id in seller_ids:
                    writing.start_soon(add, store, seller_id, times)

                async def read() -> None:
                    nonlocal seen
                    while True:
                        for seller_id in seller_ids:
                            record = await store.get(SCOPE, seller_id)
                            assert record is not None
                            assert is_whole(record)
                            seen += 1
                        records = await all_records(store)
                        assert len(records) == len(seller_ids)
                        assert all(map(is_whole, records))

                reading.start_soon(read)
            reading.cancel_scope.cancel()
        assert seen
        assert {record.generation for record in await all_records(store)} == {times + 1}

    @promise()
    async def test_cancelled_callers_lose_no_acknowledged_write(self, bench: Bench) -> None:
        """Neither their own nor those of others, and nobody waits for ever."""
        store = await bench.open()
        acknowledged: dict[str, Record] = {}
        chance = Random(7)  # the same patience in every run, so that a failure can be had again

        async def write(seller_id: str, patience: float) -> None:
            with anyio.move_on_after(patience):
                record = await store.put(numbered(seller_id, 1))
                for generation in range(2, 5):
                    acknowledged[seller_id] = record
                    change = numbered(seller_id, generation)
                    record = await store.put(evolve(change, revision=record.revision))
                acknowledged[seller_id] = record

        async with anyio.create_task_group() as tasks:
            for n in range(200):
                tasks.start_soon(write, f"{n}", chance.choice((0, 0.001, 0.01, 0.05, 60)))
        kept = {record.seller_id: record for record in await all_records(store)}
        assert all(map(is_whole, kept.values()))
        for seller_id, record in acknowledged.items():
            assert kept[seller_id].revision >= record.revision
        written = await store.put(numbered("afterwards", 1))
        assert await store.get(SCOPE, "afterwards") == written
