"""Crowds of callers: who is let in when, and what waits at the store meanwhile."""

from datetime import timedelta

import anyio
import pytest
from test_hosts import imported
from tokens_scenario import LEAD, MONTH, REFRESH, either_loop

import iop_async as iop
from iop_async.tokens._admission import Admission


class CountingStore:
    """A store that counts the reads under way, and the leases that are held."""

    def __init__(self, store):
        self._store = store
        self.path = store.path
        self.reads = self.most_reads = self.most_leased = 0
        self.leased = set()

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def get(self, scope, seller):
        self.reads += 1
        self.most_reads = max(self.most_reads, self.reads)
        try:
            return await self._store.get(scope, seller)
        finally:
            self.reads -= 1

    async def lease(self, scope, seller, *, holder, seconds):
        leased = await self._store.lease(scope, seller, holder=holder, seconds=seconds)
        if leased is not None and seconds:
            self.leased.add(seller)
            self.most_leased = max(self.most_leased, len(self.leased))
        return leased

    async def put(self, record, *, release=None):
        stored = await self._store.put(record, release=release)
        if release is not None:
            self.leased.discard(record.seller_id)
        return stored


@either_loop
async def test_a_crowd_of_callers_holds_no_more_leases_than_are_worked_on(scenario):
    """All of them are served, and few wait in the queue of the store."""
    scenario.sandbox.add_sellers(397)
    store = CountingStore(scenario.store())
    async with scenario.manager(store, concurrency=2, cached=10) as tokens:
        await imported(tokens, scenario)
        scenario.clock.advance(MONTH + 60)
        store.most_reads = 0
        async with anyio.create_task_group() as tasks:
            for seller in scenario.sandbox.sellers:
                tasks.start_soon(tokens.token, seller)
    assert scenario.presented() == 400
    assert 1 < store.most_leased <= 8
    assert 1 < store.most_reads <= 50 + 8


@either_loop
async def test_who_waits_for_a_token_goes_before_all_that_is_merely_due(scenario):
    scenario.sandbox.add_sellers(97)
    async with scenario.manager(concurrency=1) as tokens:
        await imported(tokens, scenario)
        await tokens.authorize(scenario.code("1001"))
        scenario.clock.advance(MONTH - LEAD / 2)
        await tokens.import_token(expired(scenario, "1003"))
        scenario.sandbox.fail("latency", api=REFRESH, seconds=0.02, times=None)
        others = [seller for seller in scenario.sandbox.sellers if seller not in {"1001", "1003"}]
        for seller in others:
            await tokens.token(seller)  # served at once, and refreshed meanwhile
        begun = scenario.presented()
        await tokens.token("1003")
        order = [entry.seller for entry in scenario.sandbox.ledger.refreshes]
        assert order.index("1003") <= begun + 4 * 2
        assert len(order) < len(others)
        for seller in others:
            await tokens.refresh(seller)
    assert scenario.presented() >= len(others)


def expired(scenario, seller):
    pair = scenario.sandbox.grant(seller)
    now = scenario.clock.now()
    return iop.Token(
        access_token=pair["access_token"],
        refresh_token=pair["refresh_token"],
        issued_at=now - timedelta(days=1),
        expires_at=now,
        refresh_expires_at=now + timedelta(days=30),
        sellers=(iop.Seller(seller_id=seller),),
    )


@pytest.fixture(params=["asyncio", "trio"])
def run(request):
    return lambda main: anyio.run(main, backend=request.param)


def test_the_urgent_are_let_in_first_and_else_whoever_came_first(run):
    async def main():
        admission, order = Admission(1), []

        async def come(name, is_urgent):
            async with admission.place(name, is_urgent=is_urgent):
                order.append(name)

        await admission.enter("first", is_urgent=False)
        async with anyio.create_task_group() as tasks:
            for name in "abcde":
                tasks.start_soon(come, name, name in "cd")
                await anyio.wait_all_tasks_blocked()
            admission.hurry("e")
            admission.hurry("nobody")
            admission.leave()
        await admission.enter("again", is_urgent=False)
        return order

    assert run(main) == ["c", "d", "e", "a", "b"]


async def have_a_place(admission):
    async with admission.place("waiting"):
        await anyio.sleep_forever()


def test_who_stops_waiting_takes_no_place(run):
    """Nor does one that is cancelled in the moment in which it is let in."""

    async def main():
        admission = Admission(1)
        for is_let_in in (False, True):
            await admission.enter("first", is_urgent=False)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(have_a_place, admission)
                await anyio.wait_all_tasks_blocked()
                if is_let_in:
                    admission.leave()
                tasks.cancel_scope.cancel()
            if not is_let_in:
                admission.leave()
        with anyio.fail_after(5):
            await admission.enter("again", is_urgent=False)

    run(main)


def test_who_steps_aside_lets_others_in_and_comes_back(run):
    async def main():
        admission, order = Admission(1), []

        async def other():
            async with admission.place("other"):
                order.append("other")

        async with anyio.create_task_group() as tasks, admission.place("one") as place:
            tasks.start_soon(other)
            await anyio.wait_all_tasks_blocked()
            await place.step_aside(0.01)
            order.append("one")
        return order

    assert run(main) == ["other", "one"]
