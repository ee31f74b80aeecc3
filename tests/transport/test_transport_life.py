"""How a transport begins and ends, and its settings."""

import subprocess
import sys

import anyio
import httpx
import pytest
from loopback import Server
from transport_helpers import (
    assert_no_secret,
    failure_of,
    get,
    post,
    secretive,
    silence,
    slots_of,
    until,
)

from iop_async import TransportError
from iop_async._transport import Timeouts
from iop_async.protocols import Transport


def test_it_is_a_transport(door):
    assert isinstance(door(), Transport)


def test_closed_transport_says_so(run, make_transport, server):
    async def scenario():
        async with make_transport() as transport:
            await transport.send(get(server.base))
            await transport.aclose()
            await transport.aclose()
            error = await failure_of(transport, get(server.base), RuntimeError)
            assert "closed" in str(error)

    run(scenario)


def test_closing_closes_idle_connections(run, door, server):
    async def scenario():
        transport = door()
        await transport.send(get(server.base))
        assert server.open == 1
        await transport.aclose()
        await until(lambda: server.open == 0)

    run(scenario)


def test_closing_breaks_off_what_is_under_way(run, make_transport):
    """Requests in flight may have been applied; those that wait for their turn were not."""
    errors = []
    maker = make_transport(max_connections=4)

    async def send(transport):
        errors.append(await failure_of(transport, secretive(server)))

    async def scenario():
        async with maker as transport:
            at_once = slots_of(transport).free["calls"]
            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(send, transport)
                await until(lambda: len(slots_of(transport).waiting["calls"]) == 6 - at_once)
                await until(lambda: len(server.requests) == at_once)
                await transport.aclose()
                assert len(errors) == 6
            await until(lambda: server.open == 0)

    with Server(silence) as server:
        run(scenario)
    for error in errors:
        assert type(error) is TransportError
        assert "closed meanwhile" in str(error)
        assert_no_secret(error)
    assert [e.may_have_been_applied for e in errors].count(True) == len(server.requests)


def test_closing_works_in_a_cancelled_scope(run, door, server):
    """``async with`` around a task that is cancelled ends there."""

    async def scenario():
        with anyio.CancelScope() as scope:
            async with door() as transport:
                await transport.send(get(server.base))
                scope.cancel()
                await anyio.sleep(1)
        await until(lambda: server.open == 0)

    run(scenario)


@pytest.mark.parametrize("name", ["max_connections", "max_waiting", "max_answer_bytes"])
def test_limits_are_whole_numbers_from_one(door, name):
    for bad in (0, -1):
        with pytest.raises(ValueError, match=f"{name} is {bad}; give a whole number from 1"):
            door(**{name: bad})
    for bad in ("100", 2.5, None, True):
        with pytest.raises(TypeError, match=f"{name} is {bad!r}; give a whole number"):
            door(**{name: bad})


@pytest.mark.parametrize("timeouts", [30, None, httpx.Timeout(5), {"read": 5}])
def test_what_is_no_timeouts_is_refused_at_once(door, timeouts):
    with pytest.raises(TypeError, match=r"give iop_async\.Timeouts\(total="):
        door(timeouts=timeouts)


@pytest.mark.parametrize("name", ["connect", "read", "write", "pool", "total"])
def test_timeouts_are_more_than_nothing_or_none(name):
    for bad in (0, -1, float("nan")):
        with pytest.raises(ValueError, match=name):
            Timeouts(**{name: bad})
    for bad in ("10", True, (3, 4)):
        with pytest.raises(TypeError, match=f"{name} is .*; give seconds, or None"):
            Timeouts(**{name: bad})
    assert getattr(Timeouts(**{name: None}), name) is None
    assert getattr(Timeouts(), name) > 0


def test_timeouts_may_all_be_off(run, make_transport, server):
    never = Timeouts(connect=None, read=None, write=None, pool=None, total=None)

    async def scenario():
        async with make_transport(timeouts=never) as transport:
            assert (await transport.send(post(server.base, b"x" * 300_000))).status == 200

    run(scenario)


def test_import_costs_neither_httpx_nor_httpcore():
    code = "import sys, iop_async; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "iop_async._transport" in shown.stdout.split()
    assert not {"httpx", "httpcore", "trio"} & set(shown.stdout.split())


def test_the_first_request_finds_everything_imported():
    """Importing httpcore takes a tenth of a second, in which an event loop would stand still."""
    code = """if True:
        import asyncio, contextlib, sys
        import iop_async as iop

        async def main():
            client = iop.Client(iop.App("1", "s"), iop.gateways.Iop("http://127.0.0.1:9"))
            before = set(sys.modules)
            async with client:
                with contextlib.suppress(iop.TransportError):
                    await client.call("/a")
            print(*{name.partition(".")[0] for name in set(sys.modules) - before})

        asyncio.run(main())
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert {"httpcore", "httpx", "trio"}.isdisjoint(shown.stdout.split())
