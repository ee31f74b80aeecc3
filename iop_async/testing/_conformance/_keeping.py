"""Keeping: all of it, for all who share it, and after the store is closed."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import timedelta

import anyio
import pytest
from attrs import evolve

from ..._exceptions import StaleRecord
from ...protocols import Checkable
from ._crowds import add, claim_all, numbered
from ._harness import LONG, SCOPE, Bench, StoreTests, a_record, all_records, now, promise


class Keeping(StoreTests):
    """What was acknowledged is there, for whoever asks."""

    @promise()
    async def test_records_gives_all_of_them(self, bench: Bench) -> None:
        """Once each, more of them than any page holds, while others come and go."""
        store = await bench.open()
        count = max(10, self.many // 2)
        async with anyio.create_task_group() as tasks:
            for n in range(count):
                tasks.start_soon(store.put, a_record(f"{n}", scope="another" if n % 3 else SCOPE))
        expected = {f"{n}" for n in range(0, count, 3)}
        seen: list[str] = []
        async for record in store.records(SCOPE):
            # while the pages after the first are still to be read
            if not seen:
                record = await store.put(evolve(record, body=b"meanwhile"))  # noqa: PLW2901
                await store.put(a_record("new"))
                await store.remove(SCOPE, "new")
            seen.append(record.seller_id)
        assert len(seen) == len(set(seen))
        assert expected <= set(seen) <= expected | {"new"}
        assert len(await all_records(store, "another")) == count - len(expected)

    @promise()
    async def test_records_may_be_left_early(self, bench: Bench) -> None:
        """Without harm to the store."""
        store = await bench.open()
        for n in range(20):
            await store.put(a_record(f"{n}"))
        records = store.records(SCOPE)
        async for record in records:
            await store.put(evolve(record, body=b"seen"))
            break
        # a generator that is left early would be closed by the collector, in no event loop
        if isinstance(records, AsyncGenerator):
            await records.aclose()
        assert sorted(r.body == b"seen" for r in await all_records(store))[-2:] == [False, True]

    @promise(needs="is_durable")
    async def test_what_was_put_survives_closing(self, bench: Bench) -> None:
        """With its revision; what was removed stays removed."""
        store = await bench.open()
        start = now()
        kept = await store.put(a_record("a", "b", due_at=start, dies_at=start))
        kept = await store.put(evolve(kept, body=b"changed", generation=2))
        gone = await store.put(a_record("gone"))
        await store.remove(SCOPE, "gone")
        await store.aclose()
        store = await bench.open()
        assert await all_records(store) == [kept]
        assert await store.get(SCOPE, "b") == kept
        assert await store.next_due(SCOPE) == start
        with pytest.raises(StaleRecord):
            await store.put(evolve(kept, revision=kept.revision - 1, body=b"late"))
        assert (await store.put(a_record("gone"))).revision > gone.revision

    @promise(needs="is_shared")
    async def test_two_hosts_see_the_same(self, bench: Bench) -> None:
        """As soon as a method returns, and without closing anything."""
        here, there = await bench.open(), await bench.open()
        record = await here.put(a_record("a", "b", due_at=now() - timedelta(minutes=1)))
        assert await there.get(SCOPE, "b") == record
        new = await there.put(evolve(record, body=b"there"))
        assert await here.get(SCOPE, "a") == new
        with pytest.raises(StaleRecord):
            await here.put(evolve(record, body=b"here"))
        assert await here.lease(SCOPE, "a", holder="here", seconds=LONG) == new
        assert await there.lease(SCOPE, "a", holder="there", seconds=LONG) is None
        assert await there.claim(SCOPE, due_by=now(), limit=9, holder="there", seconds=60) == []
        await there.put(evolve(new, body=b"done"), release="here")
        assert await there.lease(SCOPE, "b", holder="there", seconds=LONG) is not None
        assert await there.remove(SCOPE, "b")
        assert await here.get(SCOPE, "a") is None
        assert await all_records(here) == []

    @promise(needs="is_shared")
    async def test_hosts_claim_each_record_once(self, bench: Bench) -> None:
        """Whatever they claim at the same time."""
        hosts = [await bench.open() for _ in range(4)]
        due_at = now() - timedelta(minutes=1)
        async with anyio.create_task_group() as tasks:
            for n in range(200):
                tasks.start_soon(hosts[n % 4].put, a_record(f"{n}", due_at=due_at))
        claimed: list[str] = []
        async with anyio.create_task_group() as tasks:
            for n in range(12):
                tasks.start_soon(claim_all, hosts[n % 4], f"{n}", claimed, 200)
        assert sorted(claimed) == sorted(f"{n}" for n in range(200))

    @promise(needs="is_shared")
    async def test_no_update_of_several_hosts_is_lost(self, bench: Bench) -> None:
        """Read, write, start over when late: every one of the writes counts."""
        hosts = [await bench.open() for _ in range(4)]
        await hosts[0].put(numbered("1001", 1))
        async with anyio.create_task_group() as tasks:
            for writer, host in enumerate(hosts):
                tasks.start_soon(add, host, "1001", 10, writer)
        record = await hosts[0].get(SCOPE, "1001")
        assert record is not None
        assert record.generation == 41

    @promise()
    async def test_a_store_in_order_passes_its_own_check(self, bench: Bench) -> None:
        """Whether or not it holds anything; the check changes and leases nothing."""
        store = await bench.open()
        if not isinstance(store, Checkable):
            pytest.skip("the store has no check, which is optional")
        await store.check(SCOPE)
        assert await all_records(store) == []
        record = await store.put(a_record(due_at=now()))
        await store.check(SCOPE)
        assert await all_records(store) == [record]
        claimed = await store.claim(SCOPE, due_by=now(), limit=1, holder="a", seconds=LONG)
        assert claimed == [record]

    @promise()
    async def test_closing_twice_does_nothing(self, bench: Bench) -> None:
        """Whether or not the store was used before."""
        store = await bench.open()
        await store.put(a_record())
        await store.aclose()
        await store.aclose()
        unused = await bench.open()
        await unused.aclose()
        await unused.aclose()
