"""The connections of :class:`HttpxTransport`: one limit for all, most recently used first.

httpcore's own pool looks at every connection for every request, so that a request gets dearer with
every connection there is. Here it costs the same however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from ssl import SSLContext
from time import monotonic
from typing import Final

import anyio
import httpcore
from anyio.lowlevel import current_token

from .incoming import Incoming
from .outgoing import Outgoing
from .sockets import Sockets
from .streams import CLOSE_WITHIN

KEEPALIVE: Final = 20.0
"""Seconds that an idle connection is kept."""

REAP_EVERY: Final = 1.0

_SOCKETS: Final = Sockets()


class PoolRoute:
    """Carries requests over connections of its own.

    Args:
        max_connections: over all origins.
        timeouts: seconds by phase: ``pool``, ``connect``, ``write``, ``read``.
        tls: gives the TLS context, once one is needed.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        timeouts: Mapping[str, float | None],
        tls: Callable[[], SSLContext],
    ) -> None:
        self.pool = ConnectionPool(max_connections, wait=timeouts["pool"], tls=tls)
        self._extensions = {"timeout": timeouts}

    async def carry(self, outgoing: Outgoing) -> Incoming:
        """One exchange. Raises what httpcore raises."""
        outgoing.begun = False
        connection = await self.pool.acquire(outgoing.base)
        try:
            response = await connection.handle_async_request(self._request(connection, outgoing))
            outgoing.begun = True
            incoming = Incoming(response.status, response.headers, outgoing.limit)
            await incoming.read(response.stream, response.aclose)  # type: ignore[arg-type]
            await response.aclose()
        except BaseException:
            # httpcore calls a connection idle whose making failed: then nothing was sent
            outgoing.begun = outgoing.begun or not connection.is_idle()
            raise
        finally:
            await self.pool.release(connection)
        return incoming

    def _request(self, connection: Connection, outgoing: Outgoing) -> httpcore.Request:
        origin = connection.origin
        return httpcore.Request(
            outgoing.method,
            httpcore.URL(
                scheme=origin.scheme, host=origin.host, port=origin.port, target=outgoing.target
            ),
            headers=outgoing.headers,
            content=outgoing.content,
            extensions=self._extensions,
        )

    async def aclose(self) -> None:
        """Close every connection that is idle, and the others as they come back."""
        await self.pool.aclose()


class Connection(httpcore.AsyncHTTPConnection):
    """One connection, and until when to keep it while it is idle."""

    def __init__(self, base: str, tls: Callable[[], SSLContext]) -> None:
        self.base = base
        self.origin = httpcore.URL(base).origin
        self.expires_at = 0.0
        super().__init__(
            self.origin,
            ssl_context=tls() if self.origin.scheme == b"https" else None,
            network_backend=_SOCKETS,
        )
        # httpcore's locks give up the event loop even where nobody holds them, three rounds for
        # each request. A connection of this pool is lent to one request at a time.
        self._request_lock = nullcontext()  # type: ignore[assignment]

    def unlock(self) -> None:
        """Do without the lock of the connection that was made by now."""
        made = getattr(self, "_connection", None)
        if made is not None:
            vars(made)["_state_lock"] = nullcontext()

    @property
    def is_reusable(self) -> bool:
        """Whether the last answer came whole, and nothing after it.

        What came after it would be taken for the answer to the next request, which may be that of
        another seller. httpcore does not look, and has no public way to.
        """
        state = getattr(getattr(self, "_connection", None), "_h11_state", None)
        has_more = state is not None and state.trailing_data[0]
        return self.is_available() and not has_more


class ConnectionPool:
    """Lends connections, each to one request at a time; waiting requests are served in order.

    Args:
        limit: connections open at a time, over all origins.
        wait: seconds that a request waits for one; ``None`` for ever.
    """

    def __init__(self, limit: int, *, wait: float | None, tls: Callable[[], SSLContext]) -> None:
        self._limit = limit
        self._wait = wait
        self._tls = tls
        self._closed = False
        self._start_over(None)

    def _start_over(self, event_loop: object) -> None:
        self._event_loop = event_loop
        self._slots = anyio.Semaphore(self._limit, max_value=self._limit)
        self._idle: dict[str, deque[Connection]] = {}  # by base, the most recently used last
        self._reap_at = 0.0
        self.open = 0

    @property
    def idle(self) -> int:
        """How many connections are open and not lent."""
        return sum(map(len, self._idle.values()))

    @property
    def free_slots(self) -> int:
        """How many more requests would not have to wait."""
        return self._slots.value

    async def acquire(self, base: str) -> Connection:
        """A connection to ``base``, which is to be given to :meth:`release`.

        Raises ``httpcore.PoolTimeout`` where none came free in time.
        """
        event_loop = current_token()
        if event_loop != self._event_loop:
            # connections do not survive the event loop that they were made in
            self._start_over(event_loop)
        await self._wait_for_slot()
        dropped: list[Connection] = []
        try:
            connection = self._pick(base, dropped)
        except BaseException:
            self._slots.release()
            raise
        if dropped:
            try:
                await _close(dropped)
            except BaseException:
                await self.release(connection)
                raise
        return connection

    async def _wait_for_slot(self) -> None:
        if self._slots.value:
            self._slots.acquire_nowait()
            return
        with anyio.move_on_after(self._wait):
            await self._slots.acquire()
            return
        raise httpcore.PoolTimeout

    def _pick(self, base: str, dropped: list[Connection]) -> Connection:
        now = monotonic()
        if now >= self._reap_at:
            self._reap_at = now + REAP_EVERY
            for idle in self._idle.values():
                while idle and idle[0].expires_at <= now:
                    self._drop(idle.popleft(), dropped)
        idle = self._idle.setdefault(base, deque())
        while idle:
            connection = idle.pop()
            if connection.expires_at > now and not connection.has_expired():
                return connection
            self._drop(connection, dropped)
        connection = Connection(base, self._tls)
        if self.open >= self._limit:
            # This request holds a slot and no connection yet, so one of another origin is idle.
            oldest = min(filter(None, self._idle.values()), key=lambda idle: idle[0].expires_at)
            self._drop(oldest.popleft(), dropped)
        self.open += 1
        return connection

    def _drop(self, connection: Connection, dropped: list[Connection]) -> None:
        self.open -= 1
        dropped.append(connection)

    async def release(self, connection: Connection) -> None:
        """Take a connection back: keep it where it can be used again, else close it."""
        try:
            if connection.is_reusable and not self._closed:
                connection.expires_at = monotonic() + KEEPALIVE
                connection.unlock()
                self._idle[connection.base].append(connection)
            else:
                self.open -= 1
                await _close([connection])
        finally:
            self._slots.release()

    async def aclose(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self._closed = True
        idle = [connection for stack in self._idle.values() for connection in stack]
        self._idle.clear()
        self.open -= len(idle)
        await _close(idle)


async def _close(connections: Iterable[Connection]) -> None:
    with anyio.move_on_after(CLOSE_WITHIN, shield=True):
        for connection in connections:
            with suppress(Exception):  # it is of no more use, whatever is wrong with it
                await connection.aclose()
