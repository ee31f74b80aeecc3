"""What the connection pool promises: one limit, in order, most recently used first, no leaks."""

import asyncio
from functools import partial

import anyio
import httpcore
import pytest
from loopback import Server, answer
from transport_helpers import assert_all_free, get, pool_of, slots_of, until

from iop_async import HttpxTransport, TransportTimeout
from iop_async._http import connections as connections_module
from iop_async._http import pool as pool_module
from iop_async._http.connections import Connection
from iop_async._http.messages import prepare
from iop_async._http.pool import ConnectionPool
from iop_async._transport import Timeouts


@pytest.fixture
def clock(monkeypatch):
    """The pool's clock, in seconds; it stands still until it is moved."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(pool_module, "monotonic", clock)
    return clock


def pool_of_httpcore(limit, *, tls=pytest.fail):
    return ConnectionPool(limit, make=partial(Connection, tls=tls))


async def used(pool, base):
    """A connection that has carried one request, still lent."""
    connection = await pool.acquire(base)
    if isinstance(connection, asyncio.Protocol):
        if not connection.is_reusable:
            await connection.connect()
        await connection.exchange(prepare(get(base), None, user_agent=b"", limit=1000))
        return connection
    headers = [(b"host", b"x")]
    response = await connection.handle_async_request(
        httpcore.Request("GET", f"{base}/", headers=headers)
    )
    await response.aread()
    await response.aclose()
    return connection


def test_a_connection_in_use_again_waits_for_no_lock(run, server, monkeypatch):
    """httpcore's would give up the event loop three times for each request."""

    async def refuse(self):
        pytest.fail("a lock of httpcore was used")

    async def scenario():
        async with HttpxTransport() as transport:
            await transport.send(get(server.base + "/"))
            monkeypatch.setattr(httpcore._synchronization.AsyncLock, "__aenter__", refuse)
            await transport.send(get(server.base + "/"))
            assert server.accepted == 1

    run(scenario)


def test_connection_is_used_again(run, door, server):
    async def scenario():
        async with door() as transport:
            for _ in range(5):
                await transport.send(get(server.base))

    run(scenario)
    assert server.accepted == 1


def test_most_recently_used_connection_comes_first(run, server):
    """The others grow old and are closed, so their number follows the load."""

    async def scenario():
        pool = pool_of_httpcore(10)
        first, second, third = [await used(pool, server.base) for _ in range(3)]
        for connection in (first, third, second):
            await pool.release(connection)
        assert await pool.acquire(server.base) is second
        assert await pool.acquire(server.base) is third
        await pool.release(third)
        assert await pool.acquire(server.base) is third
        assert await pool.acquire(server.base) is first
        for connection in (first, second, third):
            await pool.release(connection)
        assert (pool.open, pool.idle) == (3, 3)
        await pool.aclose()

    run(scenario)


def test_there_are_never_more_connections_than_the_limit(run, door):
    """Counted where it matters, at the server, and over all origins together."""

    async def respond(received, writer):
        await anyio.sleep(0.002)
        return answer()

    async def scenario():
        async with (
            door(max_connections=3) as transport,
            anyio.create_task_group() as tasks,
        ):
            for number in range(30):
                tasks.start_soon(transport.send, get(f"{server.base}/{number}"))
        assert server.most_open == 3

    with Server(respond) as server:
        run(scenario)
    assert len(server.requests) == 30
    assert server.accepted == 3


def test_requests_that_wait_are_served_in_order(run, door, server):
    async def scenario():
        async with door(max_connections=1) as transport:
            slots = slots_of(transport)
            slot = await slots.acquire("calls")
            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(transport.send, get(f"{server.base}/{number}"))
                    waiting = number + 1
                    await until(lambda n=waiting: len(slots.waiting["calls"]) == n)
                slots.release(slot)
                tasks.start_soon(transport.send, get(f"{server.base}/late"))

    run(scenario)
    targets = [request.target for request in server.requests]
    assert targets == [f"/{number}" for number in range(20)] + ["/late"]


def test_connection_that_the_server_has_closed_is_not_used(run, door, server):
    """A request on it would fail, and nobody could say whether it was applied."""

    async def scenario():
        async with door() as transport:
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(transport.send, get(server.base))
            server.hang_up()
            for _ in range(3):
                assert (await transport.send(get(server.base))).status == 200
            assert pool_of(transport).open == 1

    run(scenario)


def test_connection_is_dropped_when_the_server_says_so(run, door):
    async def scenario():
        async with door() as transport:
            for _ in range(2):
                await transport.send(get(server.base))
            assert pool_of(transport).open == 0

    with Server(lambda *_: answer(Connection="close")) as server:
        run(scenario)
    assert server.accepted == 2


def test_idle_connections_grow_old(run, door, server, clock):
    async def scenario():
        async with door() as transport:
            pool = pool_of(transport)
            three = [await used(pool, server.base) for _ in range(3)]
            for connection in three:
                await pool.release(connection)
                clock.now += 1
            clock.now += pool_module.KEEPALIVE_TIMEOUT - 2
            await transport.send(get(server.base))
            assert pool.open == pool.idle == 1
            await until(lambda: server.open == 1)
            clock.now += pool_module.KEEPALIVE_TIMEOUT
            await transport.send(get(server.base))
            assert pool.open == 1

    run(scenario)
    assert server.accepted == 4


def test_idle_connections_of_other_origins_grow_old_too(run, door, server, clock):
    async def scenario():
        async with door() as transport:
            await transport.send(get(other.base))
            clock.now += pool_module.KEEPALIVE_TIMEOUT
            await transport.send(get(server.base))
            assert pool_of(transport).open == 1
            await until(lambda: other.open == 0)

    with Server() as other:
        run(scenario)


def test_at_the_limit_the_oldest_idle_connection_of_another_origin_makes_room(run, door, server):
    async def scenario():
        async with door(max_connections=3) as transport:
            pool = pool_of(transport)
            for origin in (first, second, second):
                connection = await used(pool, origin.base)
                await pool.release(connection)
            busy = [await used(pool, second.base) for _ in range(2)]
            for connection in busy:
                await pool.release(connection)
            assert (pool.open, first.open, second.open) == (3, 1, 2)
            await transport.send(get(server.base))
            assert pool.open == 3
            await until(lambda: (first.open, second.open, server.open) == (0, 2, 1))

    with Server() as first, Server() as second:
        run(scenario)


def test_many_origins_at_once_stay_below_the_limit(run, door, server):
    async def scenario():
        async with door(max_connections=4) as transport:
            async with anyio.create_task_group() as tasks:
                for number in range(60):
                    base = (server, second, third)[number % 3].base
                    tasks.start_soon(transport.send, get(f"{base}/{number}"))
            pool = pool_of(transport)
            assert pool.open == pool.idle <= 4
            assert_all_free(transport)

    with Server() as second, Server() as third:
        run(scenario)
        assert sum(len(each.requests) for each in (server, second, third)) == 60


def test_failed_connections_leave_nothing_behind(run, door):
    async def scenario():
        timeouts = Timeouts(connect=0.02)
        async with door(max_connections=2, timeouts=timeouts) as transport:
            for _ in range(5):
                with pytest.raises(TransportTimeout):
                    await transport.send(get(server.base.replace("http", "https")))
            pool = pool_of(transport)
            assert (pool.open, pool.idle) == (0, 0)
            assert_all_free(transport)
            await until(lambda: server.open == 0)

    async def greet(reader, writer):
        await reader.read(-1)

    with Server(greet=greet) as server:
        run(scenario)


def test_tls_context_that_cannot_be_made_costs_no_slot(run):
    def tls():
        raise FileNotFoundError("SSL_CERT_FILE")

    async def scenario():
        pool = pool_of_httpcore(1, tls=tls)
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                await pool.acquire("https://127.0.0.1:1")
        assert pool.open == 0

    run(scenario)


def test_connection_that_comes_back_after_closing_is_closed(run, server):
    async def scenario():
        pool = pool_of_httpcore(2, tls=pytest.fail)
        lent = await used(pool, server.base)
        await pool.aclose()
        await pool.release(lent)
        assert (pool.open, pool.idle) == (0, 0)
        await until(lambda: server.open == 0)

    run(scenario)


def test_cost_of_a_request_does_not_grow_with_the_connections(server):
    """The reason for this pool: counted in connections looked at, which no machine changes."""
    looked_at = []

    async def scenario():
        pool = pool_of_httpcore(300, tls=pytest.fail)
        for connection in [await used(pool, server.base) for _ in range(300)]:
            await pool.release(connection)
        has_expired = connections_module.Connection.has_expired

        def counted(self):
            looked_at.append(self)
            return has_expired(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connections_module.Connection, "has_expired", counted)
            for _ in range(10):
                await pool.release(await pool.acquire(server.base))
        await pool.aclose()

    anyio.run(scenario)
    assert len(looked_at) == 10


async def test_task_cancelled_while_room_is_made_costs_no_slot(monkeypatch):
    """The cancellation of asyncio gets through a shield: it is in the middle of closing."""
    closing = []

    async def aclose(self):
        closing.append(self)
        if len(closing) == 1:
            await asyncio.sleep(10)

    with Server() as server, Server() as other:
        pool = pool_of_httpcore(1, tls=pytest.fail)
        old = await used(pool, other.base)
        await pool.release(old)
        with monkeypatch.context() as patch:
            patch.setattr(connections_module.Connection, "aclose", aclose)
            task = asyncio.create_task(pool.acquire(server.base))
            await until(lambda: closing)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert (pool.open, pool.idle) == (0, 0)
        await old.aclose()
