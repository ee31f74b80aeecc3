"""Names: several for one record, odd ones, equal ones in different scopes."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from ..._exceptions import StaleRecord
from ._harness import SCOPE, Bench, StoreTests, a_record, all_records, now, promise

# what some database folds, pads, cuts, normalises, escapes or takes for a wildcard
ODD = (
    "T1", "t1", "T10", "T1 ", " T1", "T1/", "T1/..", "..", ".", "/", "//", "\\", "*", "?", "%",
    "_", "[T1]", "{T1}", "T1:x", "T1\n", "'", '"', "'; DROP TABLE records; --", "0", "00", "null",
    "ß", "SS", "é", "e\N{COMBINING ACUTE ACCENT}", "İ", "i", "店铺", "\N{RIGHT-TO-LEFT OVERRIDE}a",
    "\N{ZERO WIDTH JOINER}", "\N{PILE OF POO}", "x" * 300, "x" * 299 + "y", "店" * 300,
)  # fmt: skip


class Naming(StoreTests):
    """Each seller id of a scope finds one record, and never another's."""

    @promise()
    async def test_every_seller_of_a_record_finds_it(self, bench: Bench) -> None:
        """Six ventures share one token."""
        store = await bench.open()
        ventures = [f"{country}-1001" for country in ("sg", "my", "th", "vn", "ph", "id")]
        written = await store.put(a_record(*ventures))
        for venture in ventures:
            assert await store.get(SCOPE, venture) == written
        assert await all_records(store) == [written]

    @promise()
    async def test_a_seller_that_is_no_longer_named_finds_nothing(self, bench: Bench) -> None:
        """And one that is named anew finds it."""
        store = await bench.open()
        record = await store.put(a_record("a", "b", "c"))
        record = await store.put(evolve(record, seller_ids=("d", "a", "c")))
        assert record.seller_ids == ("d", "a", "c")
        assert await store.get(SCOPE, "b") is None
        for seller_id in record.seller_ids:
            assert await store.get(SCOPE, seller_id) == record

    @promise()
    async def test_a_record_takes_its_sellers_over(self, bench: Bench) -> None:
        """Who still holds the other record as it was cannot take them back by accident."""
        store = await bench.open()
        old = await store.put(a_record("a", "b", "c"))
        new = await store.put(a_record("b", "x", body=b"a grant of its own"))
        assert await store.get(SCOPE, "b") == new
        robbed = await store.get(SCOPE, "a")
        assert robbed is not None
        assert robbed == await store.get(SCOPE, "c")
        assert robbed == evolve(old, seller_ids=("a", "c"), revision=old.revision + 1)
        with pytest.raises(StaleRecord):
            await store.put(evolve(old, body=b"late"))
        assert await store.get(SCOPE, "b") == new
        back = await store.put(evolve(robbed, seller_ids=("a", "b", "c")))
        assert await store.get(SCOPE, "b") == back
        assert (await store.get(SCOPE, "x")) == evolve(
            new, seller_id="x", seller_ids=("x",), revision=new.revision + 1
        )

    @promise()
    async def test_a_record_that_loses_its_own_seller_goes_by_another(self, bench: Bench) -> None:
        """It is filed under the next of its sellers, and its old name is free for a new record."""
        store = await bench.open()
        old = await store.put(a_record("a", "b", "c", due_at=now()))
        new = await store.put(a_record("x", "a"))
        moved = await store.get(SCOPE, "b")
        assert moved == evolve(old, seller_id="b", seller_ids=("b", "c"), revision=old.revision + 1)
        assert await store.get(SCOPE, "a") == new
        with pytest.raises(StaleRecord):
            await store.put(evolve(old, body=b"late"))
        # the name "a" is not in use for filing, so this is a first write
        mine = await store.put(a_record("a", body=b"mine"))
        assert mine.revision > old.revision
        with pytest.raises(StaleRecord):
            await store.put(evolve(old, body=b"late"))
        assert await store.get(SCOPE, "a") == mine
        assert {record.seller_id for record in await all_records(store)} == {"a", "b", "x"}

    @promise()
    async def test_a_record_that_no_seller_finds_is_gone(self, bench: Bench) -> None:
        """Nobody refreshes a token that nobody can ask for."""
        store = await bench.open()
        old = await store.put(a_record("a", "b", due_at=now()))
        new = await store.put(a_record("x", "b", "a"))
        assert await all_records(store) == [new]
        assert await store.next_due(SCOPE) is None
        assert await store.claim(SCOPE, due_by=now(), limit=9, holder="h", seconds=60) == []
        with pytest.raises(StaleRecord):
            await store.put(evolve(old, body=b"late"))

    @promise()
    async def test_removing_by_any_name_removes_all_names(self, bench: Bench) -> None:
        """A seller who withdraws the consent is forgotten under every id."""
        store = await bench.open()
        await store.put(a_record("a", "b", "c"))
        other = await store.put(a_record("d"))
        assert await store.remove(SCOPE, "c")
        for seller_id in ("a", "b", "c"):
            assert await store.get(SCOPE, seller_id) is None
        assert await all_records(store) == [other]

    @promise()
    async def test_odd_seller_ids_are_distinct(self, bench: Bench) -> None:
        """Case, blanks, unicode forms, slashes, wildcards, length: nothing is folded or cut."""
        store = await bench.open()
        written = {seller_id: await store.put(a_record(seller_id)) for seller_id in ODD}
        for seller_id, record in written.items():
            assert await store.get(SCOPE, seller_id) == record
        assert sorted(record.seller_id for record in await all_records(store)) == sorted(ODD)
        # every second one: removing one of two that look alike must leave the other
        for seller_id in ODD[::2]:
            assert await store.remove(SCOPE, seller_id)
        for seller_id in ODD[::2]:
            assert await store.get(SCOPE, seller_id) is None
        for seller_id in ODD[1::2]:
            assert await store.get(SCOPE, seller_id) == written[seller_id]
        assert len(await all_records(store)) == len(ODD) // 2

    @promise()
    async def test_what_no_store_can_keep_is_refused_at_every_door(self, bench: Bench) -> None:
        """The same clear error, whichever method is asked, instead of one of some database."""
        store = await bench.open()
        kept = await store.put(a_record(due_at=now()))
        for name, error in (("\ud800", ValueError), ("a\0b", ValueError), (1001, TypeError)):
            bad: Any = name
            for attempt in (
                lambda bad: store.get(SCOPE, bad),
                lambda bad: store.get(bad, "1001"),
                lambda bad: store.put(a_record(bad)),
                lambda bad: store.remove(SCOPE, bad),
                lambda bad: store.lease(SCOPE, bad, holder="a", seconds=1),
                lambda bad: store.lease(SCOPE, "1001", holder=bad, seconds=1),
                lambda bad: store.claim(SCOPE, due_by=now(), limit=1, holder=bad, seconds=1),
                store.next_due,
            ):
                with pytest.raises(error):
                    await attempt(bad)
        assert await all_records(store) == [kept]
        assert await store.lease(SCOPE, "1001", holder="a", seconds=1) == kept

    @promise()
    async def test_scopes_are_never_mixed(self, bench: Bench) -> None:
        """One seller id under two apps, or on two platforms, is two sellers."""
        store = await bench.open()
        due_at = now() - timedelta(minutes=1)
        scopes = ("app", "App", "app/", "app:", "ap", "app1", "*", "a" * 200)
        written = {
            scope: await store.put(a_record("1001", "2002", scope=scope, due_at=due_at))
            for scope in scopes
        }
        assert await store.remove("app", "2002")
        for scope in scopes[1:]:
            assert await store.get(scope, "1001") == written[scope]
            assert await all_records(store, scope) == [written[scope]]
            assert await store.lease(scope, "2002", holder=scope, seconds=60) == written[scope]
            assert await store.lease(scope, "2002", holder=scope, seconds=0) == written[scope]
            assert await store.claim(scope, due_by=now(), limit=9, holder=scope, seconds=600) == [
                written[scope]
            ]
            following = await store.next_due(scope)
            assert following is not None
            assert following > now()
        assert await store.get("app", "1001") is None
        assert await store.next_due("app") is None
        assert await all_records(store, "app") == []
