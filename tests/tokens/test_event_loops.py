"""Event loops that end, tasks that come and go, and a shutdown with much under way."""

import asyncio
import gc
import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import anyio
import pytest
from store_kinds import SHARED
from tokens_helpers import Between, Outage
from tokens_scenario import LEAD, MONTH, REFRESH, either_loop, eventually

import iop_async as iop
from iop_async.testing._transport import FleetingTransport


@either_loop
async def test_a_caller_s_deadline_is_its_own(scenario):
    """It gets its timeout, as a plain error; the next call finds the new token."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 1)
        scenario.sandbox.fail("latency", seconds=0.3, api=REFRESH)
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.05):
                await tokens.token("1001")
        assert (await tokens.token("1001")).access_token == scenario.live().access_token
        assert scenario.presented() == 1


@either_loop
async def test_an_error_of_the_gateway_comes_as_it_is_and_in_no_group(scenario):
    """For every way in which a refresh is asked for."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 1)
        scenario.sandbox.fail("error", code="ServiceUnavailable", api=REFRESH, times=None)
        with pytest.raises(iop.ServiceError):
            await tokens.token("1001")
        with pytest.raises(iop.TokenError):
            await tokens.seller("1001").call("/seller/get")
        with pytest.raises(iop.ServiceError):
            await tokens.refresh("1001")
        report = await tokens.refresh_many(["1001"])
        assert isinstance(report.failed["1001"], iop.ServiceError)


def left_running(scenario, *, manager, seconds=0.5):
    """A program that ends in the middle of a refresh, without closing anything."""

    async def main():
        await manager.__aenter__()
        if not scenario.presented():
            await manager.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD / 2)
        scenario.sandbox.fail("latency", seconds=seconds, api=REFRESH, after=False)
        await manager.token("1001")
        await eventually(lambda: scenario.sandbox.faults.rules[-1].hits == 1)

    return main


def unattended(scenario, store=None, **options):
    """A manager that somebody enters who does not leave it."""
    client = scenario.client(transport=FleetingTransport())
    options.setdefault("keeper", False)
    store = scenario.store() if store is None else store
    return iop.TokenManager(client, store, clock=scenario.clock, **options)


def test_a_refresh_that_its_event_loop_took_along_is_left_as_an_intent(scenario):
    """There was no time to wait for it. Entered in another event loop, the manager probes once."""
    store = scenario.store()
    manager = unattended(scenario, store, lease_seconds=0.2, drain_seconds=0)
    # So long that a busy gateway sees its client gone before it would trade the token.
    asyncio.run(left_running(scenario, manager=manager, seconds=10)())
    scenario.sandbox.faults.clear()

    async def second():
        async with manager as tokens:
            grant = await tokens._vault.load("1001")
            assert grant.intent is not None
            with anyio.fail_after(60):  # the lease of the first one has an end
                while not (await tokens.refresh_due()).refreshed:
                    await anyio.sleep(0.05)
            return await tokens.token("1001")

    token = asyncio.run(second())
    assert token.refresh_token == scenario.live().refresh_token
    asyncio.run(store.aclose())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_refresh_under_way_when_its_event_loop_ends_is_brought_to_its_end(
    scenario, backend, caplog
):
    """The event loop waits for the answer and for the store; that nobody left is an error."""
    anyio.run(left_running(scenario, manager=unattended(scenario)), backend=backend)
    assert "before the token manager was left" in caplog.text
    assert [record.levelname for record in caplog.records if "was left" in record.message] == [
        "ERROR"
    ]

    async def look():
        async with scenario.store() as store:
            (record,) = [each async for each in store.records(scope_of(scenario))]
            return json.loads(record.body)

    body = anyio.run(look)
    assert body["intent"] is None
    assert body["token"]["refresh_token"] == scenario.live().refresh_token
    assert scenario.presented() == 1


def scope_of(scenario):
    return f"123456@{scenario.url.removeprefix('http://')}"


# anyio and drivers of databases connect by tasks of their own, and cancelled in the middle of that
# they leave what nobody closes.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("is_left", [True, False], ids=["left", "not left"])
@pytest.mark.parametrize("answered", [0, 5])
@pytest.mark.parametrize(
    "shared",
    [pytest.param(name, marks=[pytest.mark.drill] * (name != "sqlite")) for name in SHARED],
    indirect=True,
)
def test_a_shutdown_that_cancels_every_task_loses_no_pair(shared, answered, is_left, tmp_path):
    """Twenty refreshes under way, of which some are being stored; their callers are cancelled too.

    What the store's own tasks were doing is done again, or is in the journal.
    """
    shared.sandbox.add_sellers(17)
    sellers = list(shared.sandbox.sellers)
    store, journal = shared.store(), tmp_path / "own.spill"
    manager = unattended(shared, store, journal=journal, lease_seconds=2)

    async def serve():
        try:
            await anyio.sleep_forever()
        finally:
            if is_left:
                await manager.aclose()

    async def main():
        await manager.__aenter__()
        for seller in sellers:
            await manager.authorize(shared.code(seller))
        late = [] if answered else sellers
        for seller in late:
            shared.sandbox.fail("latency", seconds=1.0, api=REFRESH, seller_id=seller)
        tasks = [asyncio.create_task(manager.refresh(seller)) for seller in sellers]
        tasks.append(asyncio.create_task(serve()))
        await eventually(lambda: all(rule.hits for rule in shared.sandbox.faults.rules))
        await eventually(lambda: shared.presented() >= answered)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await store.aclose()

    asyncio.run(main())

    async def look():
        async with shared.manager(journal=journal) as tokens:
            for seller in sellers:
                token = await tokens.refresh(seller)
                assert token.refresh_token == shared.live(seller).refresh_token

    shared.sandbox.faults.clear()
    asyncio.run(look())
    gc.collect()  # or another test would be warned of what this one left


def tasks_of():
    """Those of managers, which asyncio does not list."""
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, asyncio.Task) and not each.done() and "token manager" in each.get_name()
    ]


async def test_a_refresh_that_is_cancelled_from_outside_ends_alone_and_with_an_event(scenario):
    """Nobody's task was it to cancel; the keeper and the refresh of another seller go on."""
    asked_of_gateway = []

    async def answer(go_on):
        asked_of_gateway.append(1)
        if len(asked_of_gateway) == 1:
            await anyio.sleep_forever()
        return await go_on()

    client = scenario.client(transport=Between(answer))
    async with scenario.manager(client=client, keeper=True, lease_seconds=0.5) as tokens:
        events = tokens.events()
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        before = set(tasks_of())
        asked = asyncio.create_task(tokens.refresh("1001"))
        await eventually(lambda: asked_of_gateway)
        (flight,) = set(tasks_of()) - before
        flight.cancel()
        with pytest.raises(iop.TokenError, match="the refresh was cancelled"):
            await asked
        other = await tokens.refresh("1002")
        assert other.refresh_token == scenario.live("1002").refresh_token
        with anyio.fail_after(60):
            event = await anext(events)
        assert (event.kind, event.reason) == (
            "error",
            "RuntimeError: a task was cancelled from outside of the token manager",
        )
        # What was begun is looked after: the answer is lost, the gateway says what became of it.
        with anyio.fail_after(60):
            while (await tokens.status("1001")).is_unanswered:
                scenario.clock.advance(5)
                await anyio.sleep(0.02)


async def test_a_keeper_that_is_cancelled_from_outside_is_begun_again_and_an_error(
    scenario, caplog
):
    """Who cancels it does not end it without a word."""
    async with scenario.manager(keeper=True, lease_seconds=0.5) as tokens:
        await tokens.authorize(scenario.code())
        (keeper,) = [each for each in tasks_of() if "keeper" in each.get_name()]
        keeper.cancel()
        await eventually(lambda: "keeper ended (was cancelled from outside)" in caplog.text)
        scenario.clock.advance(MONTH - LEAD + 60)
        with anyio.fail_after(60):
            while (await tokens.status("1001")).generation == 1:
                await anyio.sleep(0.02)
    (record,) = [each for each in caplog.records if "keeper ended" in each.message]
    assert record.levelname == "ERROR"


ASK = {
    "authorize": lambda tokens: tokens.authorize("code"),
    "import_token": lambda tokens: tokens.import_token(
        iop.Token(access_token="a", issued_at=datetime.now(UTC))
    ),
    "token": lambda tokens: tokens.token("1001"),
    "refresh": lambda tokens: tokens.refresh("1001"),
    "replace": lambda tokens: tokens.replace("1001", rejected="a"),
    "import_many": lambda tokens: tokens.import_many([]),
    "refresh_many": lambda tokens: tokens.refresh_many(["1001"]),
    "refresh_due": lambda tokens: tokens.refresh_due(),
    "forget": lambda tokens: tokens.forget("1001"),
    "status": lambda tokens: tokens.status("1001"),
    "unread": lambda tokens: tokens.unread("1001"),
    "health": lambda tokens: tokens.health(),
    "tell_expiry": lambda tokens: tokens.tell_expiry("1001", None),
    "seller": lambda tokens: tokens.seller("1001").call("/seller/get"),
    "statuses": lambda tokens: anext(tokens.statuses()),
    "aclose": lambda tokens: tokens.aclose(),
    "__aenter__": lambda tokens: tokens.__aenter__(),
}


def test_every_question_to_a_manager_is_among_those_of_the_tests():
    """What is public and waits for something."""
    asked = {
        name
        for name, method in inspect.getmembers(iop.TokenManager)
        if not name.startswith("_") and inspect.iscoroutinefunction(inspect.unwrap(method))
    }
    assert asked <= set(ASK)


@pytest.mark.parametrize("foreign", ["asyncio", "trio"])
@either_loop
async def test_a_manager_that_is_asked_from_another_event_loop_says_so_at_once(scenario, foreign):
    """In another thread; nothing is presented, and where it was entered it goes on."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH - LEAD / 2)

        async def ask(question):
            with pytest.raises(RuntimeError, match="in another event loop"):
                await question(tokens)

        for question in ASK.values():
            await anyio.to_thread.run_sync(partial(anyio.run, ask, question, backend=foreign))
        assert scenario.presented() == 0
        await tokens.refresh("1001")
        assert scenario.presented() == 1


def test_a_manager_whose_event_loop_is_gone_says_so_instead_of_waiting(scenario):
    """Used in another event loop without being entered there."""
    manager = unattended(scenario)
    asyncio.run(left_running(scenario, manager=manager)())

    async def second():
        for name, question in ASK.items():
            if name not in ("aclose", "__aenter__"):
                with pytest.raises(
                    RuntimeError, match="not running here: its event loop has ended"
                ):
                    await question(manager)

    asyncio.run(second())


@pytest.mark.parametrize("second", ["asyncio", "trio"])
@pytest.mark.parametrize("first", ["asyncio", "trio"])
def test_a_manager_is_entered_in_one_event_loop_after_another(scenario, first, second):
    """Whether or not it was left there; what it held in memory is held again."""
    manager = unattended(scenario)

    async def main():
        await manager.__aenter__()
        if not scenario.sandbox.grants.live_pair("123456", "1001"):
            await manager.authorize(scenario.code())
        token = await manager.refresh("1001")
        assert token.refresh_token == scenario.live().refresh_token

    for backend in (first, second, first):
        anyio.run(main, backend=backend)
    anyio.run(manager.aclose, backend=second)
    assert scenario.presented() == 3


@pytest.mark.parametrize("second", ["asyncio", "trio"])
def test_a_manager_that_is_left_when_its_event_loop_is_gone_stores_what_was_not(
    scenario, second, tmp_path
):
    """The store failed in the first event loop, and is back in the second."""
    store = Outage(scenario.store())
    manager = unattended(scenario, store, journal=tmp_path / "own.spill")

    async def main():
        await manager.__aenter__()
        await manager.authorize(scenario.code())
        store.fails = {"put"}
        await manager.authorize(scenario.code())

    asyncio.run(main())
    store.fails = frozenset()
    anyio.run(manager.aclose, backend=second)

    async def look():
        async with scenario.manager() as tokens:
            return await tokens.token("1001")

    assert anyio.run(look).refresh_token == scenario.live().refresh_token


@pytest.mark.parametrize("store", ["one", "each its own"])
def test_threads_share_a_client_and_a_store_with_a_manager_each(scenario, store):
    """As the tasks of a queue do, each with an event loop of its own: every answer is kept."""
    scenario.sandbox.add_sellers(37)
    sellers = list(scenario.sandbox.sellers)
    client, shared = scenario.client(), scenario.store()

    def kept():
        return shared if store == "one" else scenario.store()

    async def all_of_them(ask):
        async with iop.TokenManager(client, kept(), keeper=False, clock=scenario.clock) as tokens:
            for seller in sellers:
                await ask(tokens, seller)

    async def authorize(tokens, seller):
        await tokens.authorize(scenario.code(seller))

    def task(seller):
        async def refresh():
            opened = kept()
            async with iop.TokenManager(
                client, opened, keeper=False, clock=scenario.clock
            ) as tokens:
                await tokens.refresh(seller)

        asyncio.run(refresh())

    async def judge(tokens, seller):
        token = await tokens.token(seller)
        assert token.refresh_token == scenario.live(seller).refresh_token

    asyncio.run(all_of_them(authorize))
    scenario.sandbox.fail("latency", seconds=0.05, api=REFRESH, times=None)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(task, sellers))
    asyncio.run(all_of_them(judge))
    assert [entry.accepted for entry in scenario.sandbox.ledger.refreshes] == [True] * 40
    asyncio.run(client.aclose())
    asyncio.run(shared.aclose())


async def test_a_call_that_is_begun_in_one_task_and_closed_in_another_holds_nothing(scenario):
    """As frameworks do that drive coroutines by hand; the refresh goes on without it."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        scenario.clock.advance(MONTH + 1)
        scenario.sandbox.fail("latency", seconds=0.3, api=REFRESH)
        begun = [tokens.token("1001"), tokens.seller("1001").call("/seller/get")]

        async def begin():
            for coroutine in begun:
                for _ in range(3):
                    waiting = coroutine.send(None)
                    if waiting is not None:
                        waiting._asyncio_future_blocking = False
                        break

        async def close():
            for coroutine in begun:
                coroutine.close()

        await asyncio.create_task(begin())
        await asyncio.create_task(close())
        assert (await tokens.token("1001")).access_token == scenario.live().access_token
        await tokens.seller("1001").call("/seller/get")
        assert scenario.presented() == 1


@either_loop
async def test_a_listing_that_is_left_in_another_task_holds_nothing(scenario):
    """Statuses and events begun here, gone on with there, and never read to their end."""
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        statuses, events = tokens.statuses(), tokens.events()
        read = []

        async def begin():
            read.append(await anext(statuses))
            with anyio.move_on_after(0.01):
                await anext(events)

        async def go_on():
            read.append(await anext(statuses))

        for part in (begin, go_on):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(part)
        assert len(read) == 2
        report = await tokens.refresh_many(["1001", "1002", "1003"])
        assert len(report.refreshed) == 3
        assert len([status async for status in tokens.statuses()]) == 3
        assert (await anext(events)).kind == "refreshed"


@either_loop
async def test_closing_with_fifty_refreshes_under_way_drains_some_and_names_the_rest(
    scenario, caplog
):
    """Within its deadline: what has its answer is stored, the rest is an intent and in a log."""
    scenario.sandbox.add_sellers(47)
    sellers = list(scenario.sandbox.sellers)
    slow = sellers[::2]
    async with scenario.manager(concurrency=50, drain_seconds=1.5, lease_seconds=30) as tokens:
        for seller in sellers:
            await tokens.authorize(scenario.code(seller))
        scenario.clock.advance(MONTH - LEAD / 2)
        for seller in slow:
            scenario.sandbox.fail("latency", seconds=8, api=REFRESH, seller_id=seller, after=False)
        for seller in sellers:
            await tokens.token(seller)
        await eventually(lambda: all(rule.hits for rule in scenario.sandbox.faults.rules))
    (line,) = [r.getMessage() for r in caplog.records if "had an answer" in r.getMessage()]
    assert all(seller in line for seller in slow)
    assert not any(seller in line for seller in set(sellers) - set(slow))
    async with scenario.store() as store:
        async for record in store.records(f"123456@{scenario.url.removeprefix('http://')}"):
            body = json.loads(record.body)
            assert (body["intent"] is not None) == (record.seller_id in slow)
            if record.seller_id not in slow:
                live = scenario.live(record.seller_id).refresh_token
                assert body["token"]["refresh_token"] == live
