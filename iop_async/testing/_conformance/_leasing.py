"""Due records and leases."""

# ruff: noqa: S101 - these are tests

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random

import pytest
from attrs import evolve

from ..._exceptions import StoreError
from ..._records import Record
from ...protocols import BulkTokenStore, TokenStore
from ._harness import LONG, SCOPE, Bench, StoreTests, a_record, now, promise

MINUTE = timedelta(minutes=1)
HOUR = 3600.0


async def claim(store: TokenStore, holder: str = "a", **options: object) -> list[str]:
    """The sellers of the records that are leased, a minute ahead and for long by default."""
    facts = {"due_by": now() + MINUTE, "limit": 99, "seconds": LONG, **options}
    return [record.seller_id for record in await store.claim(SCOPE, holder=holder, **facts)]  # type: ignore[arg-type]


async def put_all(store: TokenStore, records: Sequence[Record]) -> None:
    """Write new records, in as few round trips as the store can."""
    if isinstance(store, BulkTokenStore):
        assert not any(isinstance(one, StoreError) for one in await store.put_many(records))
    else:
        for record in records:
            await store.put(record)


class Leasing(StoreTests):
    """What is due is lent to one holder at a time, earliest expiry first."""

    @promise()
    async def test_only_what_is_due_is_claimed(self, bench: Bench) -> None:
        """Up to and at ``due_by``; what has no due time is never claimed."""
        store = await bench.open()
        by = now()
        await store.put(a_record("before", due_at=by - MINUTE))
        await store.put(a_record("at", due_at=by))
        await store.put(a_record("after", due_at=by + timedelta(microseconds=1)))
        await store.put(a_record("never"))
        assert sorted(await claim(store, due_by=by)) == ["at", "before"]
        assert await claim(store, due_by=by) == []
        assert await claim(store, due_by=by + MINUTE) == ["after"]

    @promise()
    async def test_a_claim_returns_the_records_as_they_are_stored(self, bench: Bench) -> None:
        """With their bodies and revisions, so that they can be written back."""
        store = await bench.open()
        record = await store.put(a_record("1001", "2002", due_at=now(), dies_at=now()))
        (claimed,) = await store.claim(SCOPE, due_by=now(), limit=9, holder="a", seconds=LONG)
        assert claimed == record
        assert (await store.put(evolve(claimed, body=b"new"))).revision == record.revision + 1

    @promise()
    async def test_the_earliest_expiry_goes_first(self, bench: Bench) -> None:
        """Not those that fell due first; one that does not die goes last. ``limit`` is obeyed."""
        store = await bench.open()
        start = now()
        for n in (5, 1, 4, 2, 3):
            await store.put(a_record(f"{n}", due_at=start - n * MINUTE, dies_at=start + n * MINUTE))
        await store.put(a_record("immortal", due_at=start - 9 * MINUTE))
        await store.put(a_record("not due", due_at=start + 9 * MINUTE, dies_at=start))
        assert await claim(store, limit=0) == []
        assert await claim(store, limit=1) == ["1"]
        assert await claim(store, limit=3) == ["2", "3", "4"]
        assert await claim(store, limit=3) == ["5", "immortal"]
        assert await claim(store, limit=3) == []

    @promise()
    async def test_of_many_due_in_one_minute_the_earliest_expiry_goes_first(
        self, bench: Bench
    ) -> None:
        """However many they are, and whatever falls due in the next minute."""
        store = await bench.open()
        minute = now().replace(second=0, microsecond=0) - 9 * MINUTE
        chance = Random(7)
        expiry = {f"{n}": minute + n * MINUTE for n in range(700)}
        due = {seller: minute + chance.random() * 2 * MINUTE for seller in expiry}
        sellers = chance.sample(list(expiry), len(expiry))
        await put_all(
            store, [a_record(one, due_at=due[one], dies_at=expiry[one]) for one in sellers]
        )
        claimed: list[str] = []
        while page := await claim(store):
            assert page == sorted(page, key=expiry.__getitem__)
            claimed += page
        assert len(claimed) == len(sellers)
        for is_later in (False, True):
            of_a_minute = [one for one in claimed if (due[one] >= minute + MINUTE) is is_later]
            assert of_a_minute == sorted(of_a_minute, key=expiry.__getitem__)

    @promise()
    async def test_a_leased_record_is_not_claimed_before_the_lease_ends(self, bench: Bench) -> None:
        """Not even by its holder; afterwards by anybody."""
        store = await bench.open()
        await store.put(a_record(due_at=now() - MINUTE))
        assert await claim(store, "a", seconds=bench.short) == ["1001"]
        assert await claim(store, "b") == []
        assert await claim(store, "a") == []
        assert await store.lease(SCOPE, "1001", holder="b", seconds=LONG) is None
        # past its end by a fifth, since the clocks of two hosts may differ by a little
        await bench.let_pass(bench.short * 1.2)
        assert await claim(store, "b") == ["1001"]
        assert await store.lease(SCOPE, "1001", holder="a", seconds=LONG) is None

    @promise()
    async def test_a_holder_lengthens_its_lease(self, bench: Bench) -> None:
        """A refresh may take longer than a lease lasts."""
        store = await bench.open()
        record = await store.put(a_record(due_at=now() - MINUTE))
        assert await claim(store, "a", seconds=bench.short) == ["1001"]
        # three times six tenths: without being lengthened it would have ended in the second
        for _ in range(3):
            await bench.let_pass(bench.short * 0.6)
            assert await store.lease(SCOPE, "1001", holder="a", seconds=bench.short) == record
            assert await claim(store, "b") == []
        assert await store.lease(SCOPE, "1001", holder="b", seconds=LONG) is None

    @promise()
    async def test_zero_seconds_give_a_lease_back(self, bench: Bench) -> None:
        """One's own only; doing so without having one is no error."""
        store = await bench.open()
        record = await store.put(a_record(due_at=now() - MINUTE))
        assert await store.lease(SCOPE, "1001", holder="a", seconds=0) == record
        assert await store.lease(SCOPE, "1001", holder="a", seconds=LONG) == record
        assert await store.lease(SCOPE, "1001", holder="b", seconds=0) is None
        assert await claim(store, "b") == []
        assert await store.lease(SCOPE, "1001", holder="a", seconds=0) == record
        assert await store.lease(SCOPE, "1001", holder="a", seconds=0) == record
        assert await claim(store, "b") == ["1001"]

    @promise()
    async def test_any_seller_of_a_record_leases_it(self, bench: Bench) -> None:
        """The lease is on the record, due or not, and changes nothing in it."""
        store = await bench.open()
        record = await store.put(a_record("1001", "2002"))
        assert await store.lease(SCOPE, "2002", holder="a", seconds=LONG) == record
        assert await store.lease(SCOPE, "1001", holder="b", seconds=LONG) is None
        assert await store.get(SCOPE, "1001") == record

    @promise()
    async def test_a_write_ends_the_lease_of_the_holder_that_it_names(self, bench: Bench) -> None:
        """Of no other, and none where it names nobody; a repetition does so too."""
        store = await bench.open()
        record = await store.put(a_record(due_at=now() - MINUTE))
        assert await claim(store, "a") == ["1001"]
        record = await store.put(evolve(record, body=b"1"))
        assert await claim(store, "b") == []
        record = await store.put(evolve(record, body=b"2"), release="b")
        assert await claim(store, "b") == []
        change = evolve(record, body=b"3")
        record = await store.put(change, release="a")
        assert await claim(store, "b") == ["1001"]
        assert await store.put(change, release="b") == record
        assert await claim(store, "c") == ["1001"]
        change = evolve(record, seller_ids=("1001", "2002"))
        await store.put(change, release="c")
        assert await claim(store, "d") == ["1001"]

    @promise()
    async def test_next_due_is_the_earliest(self, bench: Bench) -> None:
        """Exact, and ``None`` where nothing is scheduled."""
        store = await bench.open()
        start = now()
        await store.put(a_record("never"))
        assert await store.next_due(SCOPE) is None
        later = await store.put(a_record("later", due_at=start + 9 * MINUTE))
        assert await store.next_due(SCOPE) == later.due_at
        soon = await store.put(a_record("soon", due_at=start + MINUTE))
        assert await store.next_due(SCOPE) == soon.due_at
        past = await store.put(evolve(later, due_at=start - MINUTE))
        assert await store.next_due(SCOPE) == past.due_at
        await store.put(evolve(past, due_at=None))
        assert await store.next_due(SCOPE) == soon.due_at
        await store.remove(SCOPE, "soon")
        assert await store.next_due(SCOPE) is None

    @promise()
    async def test_a_lease_is_bounded(self, bench: Bench) -> None:
        """By an hour: whoever died with a longer one would keep a seller from everybody else."""
        store = await bench.open()
        await store.put(a_record(due_at=now() - MINUTE))
        for seconds in (HOUR + 1, 10.0**9, float("inf"), float("nan"), -1.0):
            with pytest.raises(ValueError, match="lease"):
                await store.lease(SCOPE, "1001", holder="a", seconds=seconds)
            with pytest.raises(ValueError, match="lease"):
                await claim(store, seconds=seconds)
        assert await claim(store, seconds=HOUR) == ["1001"]

    @promise()
    async def test_a_lease_of_a_clock_that_was_wrong_holds_nobody_up(self, bench: Bench) -> None:
        """One that would end in half a day was given by no clock that is right."""
        if not bench.moves_time:
            pytest.skip("needs a clock of the store that can be moved: see pass_time")
        store = await bench.open()
        await store.put(a_record("claimed", due_at=now() - MINUTE))
        record = await store.put(a_record("leased", due_at=now() - MINUTE))
        await bench.let_pass(12 * HOUR)
        assert await claim(store, "wrong", limit=1) == ["claimed"]
        assert await store.lease(SCOPE, "leased", holder="wrong", seconds=LONG) == record
        await bench.let_pass(-12 * HOUR)
        following = await store.next_due(SCOPE)
        assert following is not None
        assert following <= now()
        assert await store.lease(SCOPE, "leased", holder="right", seconds=LONG) == record
        assert await claim(store, "right") == ["claimed"]

    @promise()
    async def test_next_due_considers_leases(self, bench: Bench) -> None:
        """A record that is due and leased is found when its lease ends, or is given back."""
        store = await bench.open()
        start = now()
        record = await store.put(a_record("due", due_at=start - MINUTE))
        await claim(store, "a")
        await _is_about(store, start + timedelta(seconds=LONG))
        record = await store.put(evolve(record, due_at=start - 2 * MINUTE))
        await _is_about(store, start + timedelta(seconds=LONG))
        later = await store.put(a_record("later", due_at=start + MINUTE))
        assert await store.next_due(SCOPE) == later.due_at
        await store.lease(SCOPE, "due", holder="a", seconds=0)
        assert await store.next_due(SCOPE) == record.due_at
        await claim(store, "a", due_by=start)
        record = await store.put(evolve(record, due_at=start + timedelta(days=1)))
        await store.remove(SCOPE, "later")
        assert await store.next_due(SCOPE) == record.due_at
        record = await store.put(evolve(record, due_at=start), release="a")
        assert await store.next_due(SCOPE) == record.due_at


async def _is_about(store: TokenStore, moment: datetime) -> None:
    following = await store.next_due(SCOPE)
    assert following is not None
    # the clock of the store may differ from this one, but not by as much as a lease
    assert abs((following - moment).total_seconds()) < LONG / 2
