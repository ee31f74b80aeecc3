"""What a cancelled request leaves behind: nothing."""

import asyncio
import gzip
import random
from functools import partial

import anyio
import pytest
from loopback import Server, answer
from transport_helpers import (
    answers_twice,
    assert_all_free,
    each_gets_its_own,
    get,
    pool_of,
    post,
    silence,
    slots_of,
    trickle,
    until,
)

from iop_async import TransportError
from iop_async._transport import Timeouts


@pytest.mark.parametrize(
    "respond",
    [answers_twice, lambda received, _: answer(received.target.encode()) + answer(b"{}")],
)
def test_what_comes_after_an_answer_is_not_the_next_answer(run, door, respond):
    """It might be a token, and the next request that of another seller."""
    with Server(respond) as server:
        run(partial(each_gets_its_own, door, server, 10))


def test_task_cancelled_while_it_waits_costs_no_slot(run, door, server):
    async def scenario():
        async with door(max_connections=1) as transport:
            slots = slots_of(transport)
            slot = await slots.acquire("calls")
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(transport.send, get(server.base))
                await until(lambda: len(slots.waiting["calls"]) == 3)
                tasks.cancel_scope.cancel()
            slots.release(slot)
            assert_all_free(transport)
            assert (await transport.send(get(server.base))).status == 200

    run(scenario)


def test_task_cancelled_while_it_connects_leaves_no_socket(run, door):
    async def greet(reader, writer):
        while await reader.read(1000):
            pass

    async def scenario():
        async with door() as transport:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transport.send, get(server.base.replace("http", "https")))
                await until(lambda: server.open == 1)
                tasks.cancel_scope.cancel()
            await until(lambda: server.open == 0)
            assert_all_free(transport)

    with Server(greet=greet) as server:
        run(scenario)


@pytest.mark.parametrize("respond", [silence, trickle])
def test_connection_of_a_cancelled_request_is_not_used_again(run, door, respond):
    async def scenario():
        async with door() as transport:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transport.send, get(server.base))
                await until(lambda: server.requests)
                tasks.cancel_scope.cancel()
            await until(lambda: server.open == 0)
            assert_all_free(transport)
            assert pool_of(transport).open == 0

    with Server(respond) as server:
        run(scenario)


async def test_cancellation_of_asyncio_comes_through_untouched(door):
    with Server(silence) as server:
        async with door() as transport:
            task = asyncio.create_task(transport.send(get(server.base)))
            await until(lambda: server.requests)
            task.cancel("because")
            with pytest.raises(asyncio.CancelledError, match="because"):
                await task
            assert_all_free(transport)


async def test_timeout_of_the_caller_stays_a_timeout(door):
    with Server(silence) as server:
        async with door() as transport:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await transport.send(get(server.base))
            assert_all_free(transport)


def test_whatever_is_cancelled_each_answer_belongs_to_its_request(run, door):
    """Hundreds of requests, a flaky server, and cancellations at random moments."""
    chance = random.Random(1)

    async def respond(received, writer):
        name = received.target.encode()
        fate = chance.random()
        if fate < 0.05:
            return None
        if fate < 0.1:
            return answer(name).replace(b"HTTP", b"HTPT")
        if fate < 0.15:
            writer.write(answer(name)[:-3])
            return None
        await asyncio.sleep(chance.random() / 100)
        if fate < 0.2:
            return answer(name, Connection="close")
        if fate < 0.4:
            return answer(gzip.compress(name), Content_Encoding="gzip")
        if fate < 0.5:
            reply = answer(name * 20_000)
            writer.write(reply[:99])
            await asyncio.sleep(chance.random() / 100)
            return reply[99:]
        return answer(name)

    counts = {"answered": 0, "failed": 0, "cancelled": 0}

    async def send(transport, number):
        name = f"/{number}"
        # a third is never cancelled, so that a slow machine sees answers and failures too
        patience = chance.random() / 20 if number % 3 else 10
        with anyio.move_on_after(patience) as scope:
            try:
                request = get(server.base + name) if number % 2 else post(server.base + name)
                response = await transport.send(request)
            except TransportError:
                counts["failed"] += 1
            else:
                counts["answered"] += 1
                assert response.content in (name.encode(), name.encode() * 20_000)
        counts["cancelled"] += scope.cancelled_caught
        assert pool_of(transport).open <= 20

    async def scenario():
        timeouts = Timeouts(read=5, pool=0.1)
        async with door(max_connections=20, timeouts=timeouts) as transport:
            async with anyio.create_task_group() as tasks:
                for number in range(500):
                    tasks.start_soon(send, transport, number)
                    await anyio.sleep(chance.random() / 2000)
            assert_all_free(transport)
            assert transport._exchanges.here().deadlines.running == set()
            await until(lambda: server.open == pool_of(transport).idle)

    with Server(respond) as server:
        run(scenario)
    assert sum(counts.values()) == 500
    assert min(counts.values()) > 10
