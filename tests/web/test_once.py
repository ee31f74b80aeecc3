"""What may happen once happens once: in a process, and among processes by any store they share."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from store_kinds import SHARED, provisioning

from iop_async.contrib.starlette._once import Once


@pytest.fixture(scope="module")
def provision():
    with provisioning() as at:
        yield at


@pytest.mark.parametrize("kind", SHARED)
async def test_one_of_many_askers_is_first_over_every_store(provision, tmp_path, kind):
    """At the same time, by two processes' stores; then nobody, until it is forgotten or expires."""
    location = await asyncio.to_thread(provision, kind, tmp_path)
    now = datetime.now(UTC)
    moments = [now]
    async with aclosing(location.store()) as first, aclosing(location.store()) as second:
        # Each asker is a process of its own, with nothing in memory.
        askers = [
            Once(store, scope="app states", now=lambda: moments[-1])
            for store in (first, second)
            for _ in range(5)
        ]
        for round_ in range(3):
            key, until = f"key {round_}", now + timedelta(minutes=10)
            answers = await asyncio.gather(*(one.spend(key, until) for one in askers))
            assert sorted(answers) == [False] * 9 + [True]
            await askers[0].forget(key)
            assert await askers[0].spend(key, until)
            assert not await askers[0].spend(key, until)
        moments.append(now + timedelta(minutes=12))
        await askers[0].spend("later", moments[-1] + timedelta(minutes=10))
        kept = [record.seller_id async for record in first.records("app states")]
        assert kept == ["later"]


async def test_memory_is_bounded():
    """The oldest keys are forgotten, of which a store still knows."""
    from iop_async.stores import MemoryStore

    now = datetime.now(UTC)
    once = Once(MemoryStore(), scope="s", now=lambda: now, limit=3)
    for key in "abcd":
        once.note(key, now + timedelta(hours=1))
    assert [once.is_known(key) for key in "abcd"] == [False, True, True, True]
