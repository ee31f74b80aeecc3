"""Reading many records at once, for stores that can."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from typing import Any

import anyio
import pytest
from attrs import evolve

from ..._records import Record
from ._bulk import open_bulk
from ._crowds import numbered
from ._harness import SCOPE, Bench, StoreTests, a_record, promise
from ._naming import ODD


class BulkReading(StoreTests):
    """Many sellers at once each find what one finds."""

    @promise()
    async def test_each_of_many_sellers_finds_its_record(self, bench: Bench) -> None:
        """In their order, more of them than any statement takes, those without one among them."""
        store = await open_bulk(bench)
        count = max(10, self.many)
        await store.put_many([a_record(f"{n}", f"b{n}", body=b"%d" % n) for n in range(count)])
        asked = [f"{way}{n}" for n in reversed(range(count)) for way in ("b", "", "unknown ")]
        for seller_id, found in zip(asked, await store.get_many(SCOPE, asked), strict=True):
            number = seller_id.removeprefix("b")
            if number.isdigit():
                assert isinstance(found, Record)
                assert found == a_record(
                    number, f"b{number}", body=number.encode(), revision=found.revision
                )
            else:
                assert found is None

    @promise()
    async def test_none_of_no_sellers_finds_anything(self, bench: Bench) -> None:
        """And it is no error."""
        store = await open_bulk(bench)
        await store.put(a_record())
        assert await store.get_many(SCOPE, []) == []

    @promise()
    async def test_many_find_the_same_one(self, bench: Bench) -> None:
        """The ventures of one token; and a seller may be named twice."""
        store = await open_bulk(bench)
        shared, alone = await store.put(a_record("a", "b", "c")), await store.put(a_record("d"))
        asked = ["c", "x", "d", "a", "c", "x", "b"]
        expected = [shared, None, alone, shared, shared, None, shared]
        assert await store.get_many(SCOPE, asked) == expected
        assert await store.get_many(SCOPE, tuple(asked)) == expected

    @promise()
    async def test_many_find_what_is_there_by_now(self, bench: Bench) -> None:
        """What was written, moved and removed before they ask."""
        store = await open_bulk(bench)
        kept = await store.put(evolve(await store.put(a_record("1")), body=b"new", generation=2))
        old = await store.put(a_record("2", "3"))
        taker = await store.put(a_record("4", "2"))
        await store.put(a_record("5"))
        await store.remove(SCOPE, "5")
        left = evolve(old, seller_id="3", seller_ids=("3",), revision=old.revision + 1)
        found = await store.get_many(SCOPE, ["1", "2", "3", "4", "5"])
        assert found == [kept, taker, left, taker, None]

    @promise()
    async def test_many_odd_names_are_never_mixed(self, bench: Bench) -> None:
        """Nor are scopes: who asks in one finds nothing of another."""
        store = await open_bulk(bench)
        names = dict.fromkeys([*ODD, *(f"{name}/{name}" for name in ODD)])
        half = [await store.put(a_record(name, body=name.encode())) for name in [*names][::2]]
        other = await store.put(a_record([*names][1], scope="another"))
        by_name = {record.seller_id: record for record in half}
        found = await store.get_many(SCOPE, [*names])
        assert found == [by_name.get(name) for name in names]
        found = await store.get_many("another", [*names])
        assert [one for one in found if one is not None] == [other]

    @promise()
    async def test_names_that_cannot_be_kept_are_refused_among_many(self, bench: Bench) -> None:
        """The same errors as for one; one text is no list of sellers."""
        store = await open_bulk(bench)
        wrong: Any = 7
        for asked, error in (
            (["1", "a\0b"], ValueError),
            (["1", "\ud800"], ValueError),
            (["1", wrong], TypeError),
            ("1001", TypeError),
        ):
            with pytest.raises(error):
                await store.get_many(SCOPE, asked)

    @promise()
    async def test_many_are_whole_while_others_write_them(self, bench: Bench) -> None:
        """Each as somebody wrote it, and never older than it was before."""
        store = await open_bulk(bench)
        names = [f"{n}" for n in range(20)]
        for name in names:
            await store.put(numbered(name, 1, 0))
        over = anyio.Event()

        async def write(some: list[str]) -> None:
            for n in range(2, 8):
                for name in some:
                    kept = await store.get(SCOPE, name)
                    assert kept is not None
                    await store.put(evolve(numbered(name, n, 0), revision=kept.revision))

        async def read() -> None:
            seen = dict.fromkeys(names, 0)
            while not over.is_set():
                for name, found in zip(names, await store.get_many(SCOPE, names), strict=True):
                    assert isinstance(found, Record)
                    assert found == evolve(
                        numbered(name, found.generation, 0), revision=found.revision
                    )
                    assert found.revision >= seen[name]
                    seen[name] = found.revision

        async with anyio.create_task_group() as reading:
            reading.start_soon(read)
            async with anyio.create_task_group() as tasks:
                for n in range(4):
                    tasks.start_soon(write, names[n::4])
            over.set()
