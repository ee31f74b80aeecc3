"""Turns go round between parties."""

import anyio
import pytest

from iop_async.calling._turns import Turns


def test_a_thousand_of_one_party_do_not_keep_another_waiting(run):
    served = []

    async def take(turns, party):
        await turns.acquire(party)
        served.append(party)
        turns.release()

    async def scenario():
        turns = Turns()
        await turns.acquire()
        async with anyio.create_task_group() as tasks:
            for _ in range(1000):
                tasks.start_soon(take, turns, "many")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(take, turns, "one")
            await anyio.wait_all_tasks_blocked()
            assert turns.waiting == 1001
            turns.release()
        assert turns.waiting == 0

    run(scenario)
    assert len(served) == 1001
    assert served.index("one") <= 1


def test_who_leaves_the_queue_keeps_nobody_waiting(run):
    """Cancelled while it waits, or in the moment in which its turn comes."""
    served = []

    async def take(turns, name, *, task_status):
        with anyio.CancelScope() as scope:
            task_status.started(scope)
            await turns.acquire(name)
            served.append(name)
            turns.release()

    async def scenario():
        turns = Turns()
        await turns.acquire()
        async with anyio.create_task_group() as tasks:
            scopes = [await tasks.start(_started(take), turns, name) for name in "abcd"]
            await anyio.wait_all_tasks_blocked()
            scopes[1].cancel()
            await anyio.wait_all_tasks_blocked()
            turns.release()
            scopes[0].cancel()
        await turns.acquire()

    run(scenario)
    assert "".join(served) in {"cd", "acd"}


def _started(take):
    async def started(turns, name, *, task_status):
        await take(turns, name, task_status=task_status)

    return started


@pytest.mark.parametrize("parties", [("a", "a", "b", "b", "c")])
def test_one_of_each_comes_after_the_other(run, parties):
    served = []

    async def take(turns, party):
        await turns.acquire(party)
        served.append(party)
        turns.release()

    async def scenario():
        turns = Turns()
        await turns.acquire()
        async with anyio.create_task_group() as tasks:
            for party in parties:
                tasks.start_soon(take, turns, party)
                await anyio.wait_all_tasks_blocked()
            turns.release()

    run(scenario)
    assert served == ["a", "b", "c", "a", "b"]
