"""Those who listen may be slow, broken or busy with the same seller."""

import gc
import weakref

import anyio
import pytest
from tokens_scenario import LEAD, MONTH, all_told, either_loop

import iop_async as iop


@either_loop
async def test_a_listener_may_ask_for_the_token_of_the_seller_it_is_told_of(scenario):
    """Within the event, and refresh it too: no deadlock."""
    async with scenario.manager(keeper=True) as tokens:
        await tokens.authorize(scenario.code())
        told = []

        async def listen():
            async for event in tokens.events():
                token = await tokens.token(event.seller_id)
                if not told:
                    await tokens.refresh(event.seller_id)
                told.append((event.kind, token.access_token))
                if len(told) == 2:
                    return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await anyio.sleep(0)
            scenario.clock.advance(MONTH - LEAD + 60)
        assert [kind for kind, _ in told] == ["refreshed", "refreshed"]
        assert told[-1][1] == scenario.live().access_token
        assert scenario.presented() == 2


@either_loop
async def test_a_listener_that_raises_harms_itself_alone(scenario):
    """The other listener is told, the pairs are stored."""
    async with scenario.manager(keeper=True) as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        calm, told = tokens.events(), []

        async def listen():
            async for _ in tokens.events():
                raise LookupError

        async def main():
            with pytest.raises(LookupError):
                await listen()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(main)
            await anyio.sleep(0)
            scenario.clock.advance(MONTH - LEAD + 60)
            with anyio.fail_after(60):
                told += [(await anext(calm)).seller_id for _ in range(2)]
        assert set(told) == {"1001", "1002"}
        for seller in told:
            token = await tokens.token(seller)
            assert token.refresh_token == scenario.live(seller).refresh_token


@either_loop
async def test_a_listener_that_never_reads_holds_up_nobody(scenario):
    """Nor does one that reads very slowly; the refreshes of all sellers end."""
    async with scenario.manager(keeper=True) as tokens:
        idle, busy = tokens.events(), tokens.events()
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))

        async def dawdle():
            async for _ in busy:
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dawdle)
            scenario.clock.advance(MONTH - LEAD + 60)
            with anyio.fail_after(60):
                while {s.generation async for s in tokens.statuses()} != {2}:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert idle.missed == 0


@either_loop
async def test_a_progress_callback_that_raises_costs_no_pair_and_no_seller(scenario):
    """What it raises becomes an event; the report is whole."""
    async with scenario.manager() as tokens:
        events = tokens.events()
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(scenario.code(seller))
        calls = []

        def on_progress(progress):
            calls.append(progress.seller_id)
            raise LookupError(progress.seller_id)

        report = await tokens.refresh_many(["1001", "1002", "1003"], on_progress=on_progress)
        assert set(report.refreshed) == set(calls) == {"1001", "1002", "1003"}
        kinds = [event.kind for event in await all_told(tokens, events)]
        assert kinds.count("error") == kinds.count("refreshed") == 3
        for seller in calls:
            token = await tokens.token(seller)
            assert token.refresh_token == scenario.live(seller).refresh_token


@either_loop
async def test_a_progress_callback_may_start_a_task_that_asks_for_the_same_seller(scenario):
    """It is called when the refresh has ended, so the task finds the new token."""
    async with scenario.manager() as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(scenario.code(seller))
        found = {}

        async def ask(seller):
            found[seller] = (await tokens.token(seller)).access_token

        async with anyio.create_task_group() as tasks:
            report = await tokens.refresh_many(
                ["1001", "1002"],
                on_progress=lambda progress: tasks.start_soon(ask, progress.seller_id),
            )
        assert set(report.refreshed) == {"1001", "1002"}
        assert found == {seller: scenario.live(seller).access_token for seller in ("1001", "1002")}
        assert scenario.presented() == 2


async def collected(condition):
    """Wait until what nobody holds any more is gone."""
    with anyio.fail_after(60):
        while not condition():
            gc.collect()
            await anyio.sleep(0.01)


@either_loop
async def test_a_stream_that_nobody_holds_is_gone_with_its_events(scenario):
    """A page that is reloaded asks for one each time; nothing of the former ones is kept."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        held, kept = tokens.events(), len(tokens._announcer._streams)
        forgotten = [weakref.ref(tokens.events()) for _ in range(100)]

        async def listen():
            async for _ in tokens.events():
                return

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(listen)
            await anyio.sleep(0)
            await tokens.refresh("1001")
        await tokens.refresh("1001")
        await collected(lambda: len(tokens._announcer._streams) == kept)
        assert not any(stream() for stream in forgotten)
        assert [(await anext(held)).kind for _ in range(2)] == ["refreshed", "refreshed"]


@either_loop
async def test_a_stream_that_is_closed_gets_no_more_events_and_ends(scenario):
    """By hand, or at the end of its block; the other listeners are told as before."""
    async with scenario.manager() as tokens:
        await tokens.authorize(scenario.code())
        other, kept = tokens.events(), len(tokens._announcer._streams)
        async with tokens.events() as first:
            await tokens.refresh("1001")
            async with tokens.events() as second:
                await tokens.refresh("1001")
        third = tokens.events()
        third.close()
        third.close()
        await tokens.refresh("1001")
        assert len(tokens._announcer._streams) == kept
        told = [[event.kind async for event in stream] for stream in (first, second, third)]
        assert told == [["refreshed"] * 2, ["refreshed"], []]
        assert [(await anext(other)).kind for _ in range(3)] == ["refreshed"] * 3


@either_loop
async def test_a_listener_ends_when_its_stream_is_closed_while_it_waits(scenario):
    """By another task, which wants it to stop."""
    async with scenario.manager() as tokens:
        events, ended = tokens.events(), []

        async def listen():
            ended.extend([event async for event in events])
            ended.append("end")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await anyio.sleep(0)
            events.close()
        assert ended == ["end"]


@either_loop
async def test_streams_end_with_the_manager_and_begin_with_it(scenario):
    """One that is asked for before hears all; one that is asked for after, nothing."""
    store = scenario.store()
    manager = iop.TokenManager(scenario.client(), store, clock=scenario.clock, keeper=False)
    early = manager.events()
    async with manager as tokens:
        await tokens.authorize(scenario.code())
        await tokens.refresh("1001")
    assert [event.kind async for event in early] == ["refreshed"]
    late = manager.events()
    assert [event async for event in late] == []
    async with manager as tokens:
        again = tokens.events()
        await tokens.refresh("1001")
    assert [event.kind async for event in again] == ["refreshed"]
    assert [event async for event in late] == []
    await store.aclose()


@either_loop
async def test_who_listens_in_another_event_loop_is_told_so(scenario):
    """It would wait for ever."""
    async with scenario.manager() as tokens:
        events = tokens.events()

        async def listen():
            with pytest.raises(RuntimeError, match="listen to its events in that one"):
                await anext(events)

        await anyio.to_thread.run_sync(anyio.run, listen)
