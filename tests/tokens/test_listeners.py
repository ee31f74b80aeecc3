"""Those who listen may be slow, broken or busy with the same seller."""

import anyio
import pytest
from tokens_world import LEAD, MONTH, either_loop


@either_loop
async def test_a_listener_may_ask_for_the_token_of_the_seller_it_is_told_of(world):
    """Within the event, and refresh it too: no deadlock."""
    async with world.manager(keeper=True) as tokens:
        await tokens.authorize(world.code())
        told = []

        async def listen():
            async for event in tokens.events():
                token = await tokens.token(event.seller)
                if not told:
                    await tokens.refresh(event.seller)
                told.append((event.kind, token.access_token))
                if len(told) == 2:
                    return

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await anyio.sleep(0)
            world.clock.advance(MONTH - LEAD + 60)
        assert [kind for kind, _ in told] == ["refreshed", "refreshed"]
        assert told[-1][1] == world.live().access_token
        assert world.presented() == 2


@either_loop
async def test_a_listener_that_raises_harms_itself_alone(world):
    """The other listener is told, the pairs are stored."""
    async with world.manager(keeper=True) as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(world.code(seller))
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
            world.clock.advance(MONTH - LEAD + 60)
            with anyio.fail_after(60):
                told += [(await anext(calm)).seller for _ in range(2)]
        assert set(told) == {"1001", "1002"}
        for seller in told:
            token = await tokens.token(seller)
            assert token.refresh_token == world.live(seller).refresh_token


@either_loop
async def test_a_listener_that_never_reads_holds_up_nobody(world):
    """Nor does one that reads very slowly; the refreshes of all sellers end."""
    async with world.manager(keeper=True) as tokens:
        idle, busy = tokens.events(), tokens.events()
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(world.code(seller))

        async def dawdle():
            async for _ in busy:
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(dawdle)
            world.clock.advance(MONTH - LEAD + 60)
            with anyio.fail_after(60):
                while {s.generation async for s in tokens.statuses()} != {2}:
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert idle.missed == 0


@either_loop
async def test_a_progress_callback_that_raises_costs_no_pair_and_no_seller(world):
    """What it raises becomes an event; the report is whole."""
    async with world.manager() as tokens:
        events = tokens.events()
        for seller in ("1001", "1002", "1003"):
            await tokens.authorize(world.code(seller))
        calls = []

        def on_progress(progress):
            calls.append(progress.seller)
            raise LookupError(progress.seller)

        report = await tokens.refresh_many(["1001", "1002", "1003"], on_progress=on_progress)
        assert set(report.refreshed) == set(calls) == {"1001", "1002", "1003"}
        tokens._announcer.close()
        kinds = [event.kind async for event in events]
        assert kinds.count("error") == kinds.count("refreshed") == 3
        for seller in calls:
            token = await tokens.token(seller)
            assert token.refresh_token == world.live(seller).refresh_token


@either_loop
async def test_a_progress_callback_may_start_a_task_that_asks_for_the_same_seller(world):
    """It is called when the refresh has ended, so the task finds the new token."""
    async with world.manager() as tokens:
        for seller in ("1001", "1002"):
            await tokens.authorize(world.code(seller))
        found = {}

        async def ask(seller):
            found[seller] = (await tokens.token(seller)).access_token

        async with anyio.create_task_group() as tasks:
            report = await tokens.refresh_many(
                ["1001", "1002"],
                on_progress=lambda progress: tasks.start_soon(ask, progress.seller),
            )
        assert set(report.refreshed) == {"1001", "1002"}
        assert found == {seller: world.live(seller).access_token for seller in ("1001", "1002")}
        assert world.presented() == 2
