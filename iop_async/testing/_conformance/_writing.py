"""Writing: compare and swap, repetition, removal."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from ..._exceptions import StaleRecord
from ._harness import SCOPE, Bench, StoreTests, a_record, all_records, promise

# a column of milliseconds, of seconds or of doubles would lose its last digits
MOMENT = datetime(2031, 2, 3, 4, 5, 6, 789_012, tzinfo=UTC)


class Writing(StoreTests):
    """What is written stays written, once, and only over what its writer had read."""

    @promise()
    async def test_what_is_put_comes_back_as_it_was(self, bench: Bench) -> None:
        """Every field, with microseconds; a body is any bytes, of any length."""
        store = await bench.open()
        for record in (
            a_record("plain"),
            a_record("timed", due_at=MOMENT, dies_at=MOMENT + timedelta(days=30), generation=7),
            a_record("many", "c", "b", "a", body=bytes(range(256))),
            a_record("empty", body=b""),
            a_record("large", body=b"\0{}" * 100_000),
        ):
            written = await store.put(record)
            assert written.revision > 0
            assert written == evolve(record, revision=written.revision)
            assert await store.get(SCOPE, record.seller_id) == written

    @promise()
    async def test_nothing_is_found_where_nothing_was_put(self, bench: Bench) -> None:
        """And that is no error."""
        store = await bench.open()
        assert await store.get(SCOPE, "1001") is None
        assert await store.remove(SCOPE, "1001") is False
        assert await store.lease(SCOPE, "1001", holder="a", seconds=60) is None
        assert await store.next_due(SCOPE) is None
        assert await all_records(store) == []

    @promise()
    async def test_a_revision_counts_the_writes(self, bench: Bench) -> None:
        """Each write adds one, whatever it changed."""
        store = await bench.open()
        record = first = await store.put(a_record())
        for body in (b"1", b"2", b"2", b"3"):
            record = await store.put(evolve(record, body=body))
        assert record.revision == first.revision + 4
        assert await store.get(SCOPE, "1001") == record

    @promise()
    async def test_a_stale_write_is_refused(self, bench: Bench) -> None:
        """What somebody else wrote in between stays as it is."""
        store = await bench.open()
        old = await store.put(a_record())
        new = await store.put(evolve(old, body=b"new"))
        # a higher revision too: its writer holds what this store never acknowledged
        for revision in (old.revision, new.revision + 1, new.revision + 10):
            with pytest.raises(StaleRecord):
                await store.put(evolve(old, body=b"late", revision=revision))
        assert await store.get(SCOPE, "1001") == new

    @promise()
    async def test_a_first_write_does_not_replace_a_record(self, bench: Bench) -> None:
        """Revision 0 means: there is none."""
        store = await bench.open()
        kept = await store.put(a_record())
        with pytest.raises(StaleRecord):
            await store.put(a_record(body=b"another"))
        assert await store.get(SCOPE, "1001") == kept

    @promise()
    async def test_a_removed_record_is_not_brought_back(self, bench: Bench) -> None:
        """A refresh that ends after the seller was forgotten leaves the seller forgotten."""
        store = await bench.open()
        record = await store.put(a_record())
        assert await store.remove(SCOPE, "1001") is True
        with pytest.raises(StaleRecord):
            await store.put(evolve(record, body=b"late"))
        assert await store.get(SCOPE, "1001") is None
        assert await store.remove(SCOPE, "1001") is False

    @promise()
    async def test_who_held_a_removed_record_cannot_overwrite_its_successor(
        self, bench: Bench
    ) -> None:
        """Revisions go on where those of the removed record ended."""
        store = await bench.open()
        old = await store.put(a_record())
        old = await store.put(evolve(old, body=b"old"))
        await store.remove(SCOPE, "1001")
        new = await store.put(a_record(body=b"new grant"))
        for _ in range(3):
            assert new.revision > old.revision
            with pytest.raises(StaleRecord):
                await store.put(evolve(old, body=b"late"))
            new = await store.put(evolve(new, body=new.body + b"!"))
        assert await store.get(SCOPE, "1001") == new

    @promise()
    async def test_repeating_a_write_is_no_error_and_does_not_count(self, bench: Bench) -> None:
        """An acknowledgement may be lost; the writer then writes the same again."""
        store = await bench.open()
        first = a_record(due_at=MOMENT)
        written = await store.put(first)
        assert await store.put(first) == written
        second = evolve(written, body=b"second", generation=2)
        written = await store.put(second)
        assert await store.put(second) == written
        assert await store.put(second) == written
        assert await store.get(SCOPE, "1001") == written
        assert written.revision == second.revision + 1

    @promise()
    async def test_a_repetition_with_a_difference_is_stale(self, bench: Bench) -> None:
        """It is another write, and somebody else's came first."""
        store = await bench.open()
        record = await store.put(a_record("1001", "2002", due_at=MOMENT, dies_at=MOMENT))
        change = evolve(record, body=b"change")
        written = await store.put(change)
        for other in (
            evolve(change, body=b"other"),
            evolve(change, generation=change.generation + 1),
            evolve(change, due_at=None),
            evolve(change, dies_at=None),
            evolve(change, seller_ids=("1001",)),
        ):
            with pytest.raises(StaleRecord):
                await store.put(other)
        assert await store.get(SCOPE, "2002") == written
