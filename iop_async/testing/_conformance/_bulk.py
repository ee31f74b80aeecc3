"""Writing many records at once, for stores that can."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import pytest
from attrs import evolve

from ..._exceptions import StaleRecord, StoreError
from ..._records import Record
from ...protocols import BulkTokenStore
from ._crowds import numbered
from ._harness import SCOPE, Bench, StoreTests, a_record, all_records, now, promise


async def open_bulk(bench: Bench) -> BulkTokenStore:
    """A store that takes and gives many records at once; others need not."""
    store = await bench.open()
    if not isinstance(store, BulkTokenStore):
        pytest.skip("the store lacks get_many or put_many, which are optional")
    return store


def is_written(record: Record, outcome: Record | StoreError) -> bool:
    """True where that is what became of the record, and not why it was refused."""
    return isinstance(outcome, Record) and outcome == evolve(record, revision=outcome.revision)


class Bulk(StoreTests):
    """Many records at once are each written as one is, or each refused as one is."""

    @promise()
    async def test_many_new_records_are_all_written(self, bench: Bench) -> None:
        """In their order, more of them than any statement takes, and found by all their sellers."""
        store = await open_bulk(bench)
        count = max(10, self.many)
        records = [
            a_record(f"{n}", f"b{n}", due_at=now() if n % 2 else None, body=b"%d" % n * (n % 50))
            for n in reversed(range(count))
        ]
        written = await store.put_many(records)
        assert all(map(is_written, records, written))
        assert all(isinstance(one, Record) and one.revision > 0 for one in written)
        kept = {record.seller_id: record for record in await all_records(store)}
        assert [kept[record.seller_id] for record in records] == written
        for n in {0, 1, count // 2, count - 1}:
            assert await store.get(SCOPE, f"b{n}") == kept[f"{n}"]

    @promise()
    async def test_none_at_all_is_nothing(self, bench: Bench) -> None:
        """And no error."""
        store = await open_bulk(bench)
        assert await store.put_many([]) == []
        assert await all_records(store) == []

    @promise()
    async def test_repeating_all_of_them_is_no_error_and_does_not_count(self, bench: Bench) -> None:
        """An import that broke off begins again at its beginning."""
        store = await open_bulk(bench)
        records = [a_record(f"{n}", f"b{n}") for n in range(30)]
        written = await store.put_many(records[:20])
        again = await store.put_many(records)
        assert again[:20] == written
        assert all(map(is_written, records, again))
        assert await store.put_many(records) == again
        assert len(await all_records(store)) == 30

    @promise()
    async def test_one_that_is_refused_keeps_no_other_from_being_written(
        self, bench: Bench
    ) -> None:
        """Among many there is one already, one is newer, one is gone; each is told in its place."""
        store = await open_bulk(bench)
        kept = await store.put(a_record("kept", body=b"as it was"))
        newer = await store.put(evolve(await store.put(a_record("newer")), body=b"newer"))
        gone = await store.put(a_record("gone"))
        await store.remove(SCOPE, "gone")
        records = [a_record(f"{n}") for n in range(20)]
        records[3] = a_record("kept", body=b"another")
        records[7] = evolve(newer, body=b"late", revision=newer.revision - 1)
        records[11] = evolve(gone, body=b"late")
        outcomes = await store.put_many(records)
        for n, (record, outcome) in enumerate(zip(records, outcomes, strict=True)):
            assert (
                isinstance(outcome, StaleRecord) if n in (3, 7, 11) else is_written(record, outcome)
            )
        assert await store.get(SCOPE, "kept") == kept
        assert await store.get(SCOPE, "newer") == newer
        assert await store.get(SCOPE, "gone") is None
        assert len(await all_records(store)) == 19

    @promise()
    async def test_many_replace_what_their_writer_had_read(self, bench: Bench) -> None:
        """Beside new ones; their revisions count, and so do changes of their sellers."""
        store = await open_bulk(bench)
        old = [await store.put(a_record(f"{n}", f"b{n}")) for n in range(10)]
        changes = [evolve(record, body=b"new", generation=2) for record in old]
        changes[4] = evolve(changes[4], seller_ids=("c4", "4"))
        records = [*changes, *(a_record(f"new{n}") for n in range(10))]
        outcomes = await store.put_many(records)
        assert all(map(is_written, records, outcomes))
        for record, outcome in zip(old, outcomes, strict=False):
            assert isinstance(outcome, Record)
            assert outcome.revision == record.revision + 1
        assert await store.get(SCOPE, "b4") is None
        assert await store.get(SCOPE, "c4") == outcomes[4]
        assert await store.put_many(records) == outcomes

    @promise()
    async def test_many_take_their_sellers_over(self, bench: Bench) -> None:
        """As one does: the other records lose them, and are gone with the last."""
        store = await open_bulk(bench)
        old = await store.put(a_record("a", "b", "c"))
        gone = await store.put(a_record("d", body=b"goes with its last seller"))
        records = [a_record("x", "a"), a_record("y", "d"), a_record("z")]
        outcomes = await store.put_many(records)
        assert all(map(is_written, records, outcomes))
        assert await store.get(SCOPE, "a") == outcomes[0]
        assert await store.get(SCOPE, "d") == outcomes[1]
        left = evolve(old, seller_id="b", seller_ids=("b", "c"), revision=old.revision + 1)
        assert await store.get(SCOPE, "c") == left
        assert len(await all_records(store)) == 4
        for late in (old, gone):
            with pytest.raises(StaleRecord):
                await store.put(evolve(late, body=b"late"))

    @promise()
    async def test_successors_of_removed_records_are_above_them(self, bench: Bench) -> None:
        """Who still holds a removed record cannot overwrite one that was written with many."""
        store = await open_bulk(bench)
        old = await store.put(evolve(await store.put(a_record("1")), body=b"old"))
        await store.remove(SCOPE, "1")
        for outcome in await store.put_many([a_record("1", body=b"new"), a_record("2")]):
            assert isinstance(outcome, Record)
            assert outcome.revision > old.revision
        with pytest.raises(StaleRecord):
            await store.put(evolve(old, body=b"late"))

    @promise()
    async def test_scopes_of_many_records_are_never_mixed(self, bench: Bench) -> None:
        """One seller id in several scopes is several sellers, in one call too."""
        store = await open_bulk(bench)
        records = [a_record("1001", "2002", scope=scope) for scope in ("app", "App", "app/", "*")]
        written = await store.put_many(records)
        assert all(map(is_written, records, written))
        for record in written:
            assert isinstance(record, Record)
            assert await store.get(record.scope, "2002") == record

    @promise()
    async def test_many_with_a_bad_one_are_refused_before_any_is_written(
        self, bench: Bench
    ) -> None:
        """The same errors as for one; and two may not have a seller in common."""
        store = await open_bulk(bench)
        wrong: Any = a_record("bad")
        for bad, error in (
            (evolve(wrong, seller_ids=("other",)), ValueError),
            (evolve(wrong, due_at=now().replace(tzinfo=None)), ValueError),
            (evolve(wrong, body="text"), TypeError),
            (evolve(wrong, revision=-1), ValueError),
            (a_record("a\0b"), ValueError),
            (a_record("bad", "3"), ValueError),
        ):
            with pytest.raises(error):
                await store.put_many([*(a_record(f"{n}") for n in range(5)), bad])
        assert await all_records(store) == []

    @promise()
    async def test_of_equal_importers_each_record_is_written_once(self, bench: Bench) -> None:
        """Whatever they write at the same time, and whoever writes one by one beside them."""
        store = await open_bulk(bench)
        records = [a_record(f"{n}", f"b{n}") for n in range(60)]
        outcomes: list[list[Record | StoreError]] = []

        async def bring(some: list[Record]) -> None:
            outcomes.append(await store.put_many(some))

        async def write(record: Record) -> None:
            outcomes.append([await store.put(record)])

        async with anyio.create_task_group() as tasks:
            for n in range(4):
                tasks.start_soon(bring, records if n % 2 else records[::-1])
            for record in records[::7]:
                tasks.start_soon(write, record)
        kept = {record.seller_id: record for record in await all_records(store)}
        assert len(kept) == len(records)
        for outcome in (one for some in outcomes for one in some):
            assert isinstance(outcome, Record)
            assert kept[outcome.seller_id] == outcome

    @promise()
    async def test_no_revision_of_a_seller_is_given_twice(self, bench: Bench) -> None:
        """However often it is removed while others bring it back and write it."""
        store = await open_bulk(bench)
        given: list[tuple[str, int]] = []
        over = anyio.Event()

        async def bring(writer: int) -> None:
            for n in range(20):
                some = [numbered(f"{seller}", 1, writer * 100 + n) for seller in range(3)]
                for outcome in await store.put_many(some):
                    if isinstance(outcome, Record):
                        given.append((outcome.seller_id, outcome.revision))
                        await count_on(outcome, writer)

        async def count_on(record: Record, writer: int) -> None:
            with suppress(StaleRecord):
                change = numbered(record.seller_id, 2, writer)
                record = await store.put(evolve(change, revision=record.revision))
                given.append((record.seller_id, record.revision))

        async def remove() -> None:
            while not over.is_set():
                for seller in range(3):
                    await store.remove(SCOPE, f"{seller}")

        async with anyio.create_task_group() as removing:
            removing.start_soon(remove)
            async with anyio.create_task_group() as tasks:
                for writer in range(3):
                    tasks.start_soon(bring, writer)
            over.set()
        assert given
        assert len(given) == len(set(given))
