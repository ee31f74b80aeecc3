"""One transport in many event loops: in threads, one after the other, in a forked child."""

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from loopback import Server, answer
from transport_helpers import failure_of, get, pool_of, silence, until

from iop_async import HttpxTransport


def backends_of(door):
    return ["asyncio", "trio"] if door is HttpxTransport else ["asyncio", "asyncio"]


def test_each_of_many_threads_has_connections_of_its_own(door):
    """Every answer arrives, and belongs to its request; the limit holds in each event loop."""

    async def respond(received, writer):
        await asyncio.sleep(0.002)
        return answer(received.target.encode())

    async def ask(name):
        response = await transport.send(get(f"{server.base}/{name}"))
        assert response.content == f"/{name}".encode()

    async def scenario(thread):
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(ask, f"{thread}-{number}")
        assert pool_of(transport).open == pool_of(transport).idle <= 3
        together.wait(60)

    together = threading.Barrier(4)
    transport = door(max_connections=3)
    with Server(respond) as server, ThreadPoolExecutor(4) as threads:
        runs = [
            threads.submit(anyio.run, scenario, number, backend=backend)
            for number, backend in enumerate(backends_of(door) * 2)
        ]
        for run in runs:
            run.result()
        assert len(server.requests) == 160
        assert server.most_open <= 12


def test_event_loops_one_after_the_other_leave_nothing(door, server):
    """Nobody closes the transport in between, as in a task queue that runs each task anew."""
    transport = door()

    async def scenario():
        for _ in range(3):
            assert (await transport.send(get(server.base))).status == 200
        assert server.open == 1

    for number in range(6):
        anyio.run(scenario, backend=backends_of(door)[number % 2])
        gc.collect()
        anyio.run(until, lambda: server.open == 0)
    assert server.accepted == 6

    async def last():
        await scenario()
        await transport.aclose()
        assert len(transport._exchanges.items()) == 1

    anyio.run(last)


@pytest.mark.parametrize("number", [0, 1])
def test_closing_in_one_event_loop_closes_it_in_all(run, door, number):
    """What is under way there ends with an error, and its connections are closed."""
    transport = door()
    idle, ended = threading.Event(), []

    def respond(received, writer):
        return silence(received, writer) if received.target == "/hang" else answer()

    async def elsewhere():
        await transport.send(get(server.base))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hang)
            await until(lambda: any(request.target == "/hang" for request in server.requests))
            await transport.send(get(server.base))
            idle.set()

    async def hang():
        ended.append(await failure_of(transport, get(f"{server.base}/hang")))
        await until(lambda: server.open == 0)
        ended.append(await failure_of(transport, get(server.base), RuntimeError))

    async def scenario():
        thread = threading.Thread(
            target=anyio.run, args=[elsewhere], kwargs={"backend": backends_of(door)[number]}
        )
        thread.start()
        await transport.send(get(server.base))
        await until(idle.is_set)
        assert server.open == 3
        await transport.aclose()
        await until(lambda: not thread.is_alive())

    with Server(respond) as server:
        run(scenario)
    failure, refusal = ended
    assert "closed meanwhile" in str(failure)
    assert failure.may_have_been_applied
    assert "make a new one" in str(refusal)


async def test_a_transport_outlives_an_event_loop_that_was_never_closed(door, server):
    """Closing does not wait for a loop that does not run."""
    transport = door()
    loop = asyncio.new_event_loop()
    await asyncio.to_thread(loop.run_until_complete, transport.send(get(server.base)))
    await transport.send(get(server.base))
    await transport.aclose()
    await until(lambda: server.open == 1)
    await asyncio.to_thread(loop.run_until_complete, until(lambda: server.open == 0))
    await asyncio.to_thread(loop.run_until_complete, loop.shutdown_asyncgens())
    loop.close()


FORKING = """
import asyncio, os, sys
import iop_async
from iop_async import HttpRequest

transport = getattr(iop_async, sys.argv[2])()

async def send(name):
    response = await transport.send(HttpRequest("GET", sys.argv[1] + name))
    assert response.content == name.encode()

with asyncio.Runner() as runner:
    runner.run(send("/parent"))
    child = os.fork()
    if child == 0:
        asyncio.run(send("/child"))
        asyncio.run(send("/child"))
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    runner.run(send("/parent"))
    runner.run(transport.aclose())
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="needs fork")
def test_a_forked_child_does_not_touch_the_connections_of_its_parent(door):
    """On the same socket each would read answers of the other."""
    with Server(lambda received, _: answer(received.target.encode())) as server:
        script = [sys.executable, "-W", "error", "-c", FORKING, server.base, door.__name__]
        shown = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    used = [(request.target, request.connection) for request in server.requests]
    assert used == [("/parent", 1), ("/child", 2), ("/child", 3), ("/parent", 1)]
