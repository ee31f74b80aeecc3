"""The connections of :class:`HttpxTransport`: most recently used first, bound to their loop.

httpcore's own pool looks at every connection for every request, so that a request gets dearer with
every connection there is. Here it costs the same however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from ssl import SSLContext
from time import monotonic
from typing import Final

import anyio
import httpcore

from .messages import Chunks, Outgoing, ReceivedAnswer
from .proxies import Proxy
from .sockets import Sockets
from .streams import CLOSE_TIMEOUT

KEEPALIVE_TIMEOUT: Final = 20.0
"""Seconds that an idle connection is kept."""

REAP_INTERVAL: Final = 1.0


class PoolRoute:
    """Carries requests over connections of its own, in one event loop.

    Args:
        max_connections: open at a time, over all origins.
        timeouts: seconds by phase: ``connect``, ``write``, ``read``.
        tls: gives the TLS context, once one is needed.
        proxy: whose tunnels they go through.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        timeouts: Mapping[str, float | None],
        tls: Callable[[], SSLContext],
        proxy: Proxy | None = None,
    ) -> None:
        self.pool = ConnectionPool(max_connections, tls=tls, proxy=proxy)
        self._extensions = {"timeout": timeouts}
        self._guard: AsyncGenerator[None, None] | None = None

    async def carry(self, outgoing: Outgoing) -> ReceivedAnswer:
        """One exchange. Raises what httpcore raises."""
        if self._guard is None:
            self._guard = self._close_with_the_loop()
            await anext(self._guard)
        connection = await self.pool.acquire(outgoing.base)
        connection.sockets.outgoing = outgoing
        outgoing.on_kept_connection = connection.is_idle()
        try:
            response = await connection.handle_async_request(self._request(connection, outgoing))
            answer = outgoing.begin_answer(
                ReceivedAnswer(response.status, response.headers, outgoing.limit)
            )
            await answer.read(response.stream, response.aclose)  # type: ignore[arg-type]
            await response.aclose()
        except BaseException:
            # httpcore calls a connection idle whose making failed: then nothing was sent
            outgoing.begun = outgoing.begun or not connection.is_idle()
            raise
        finally:
            connection.sockets.outgoing = None
            await self.pool.release(connection)
        return answer

    async def _close_with_the_loop(self) -> AsyncGenerator[None, None]:
        """Closes the connections where the event loop ends before anybody does.

        An event loop closes the asynchronous generators that were begun in it, and has no other
        way to tell of its end.
        """
        try:
            yield
        finally:
            await self.pool.aclose()

    def _request(self, connection: Connection, outgoing: Outgoing) -> httpcore.Request:
        origin, content = connection.origin, outgoing.content
        return httpcore.Request(
            outgoing.method,
            httpcore.URL(
                scheme=origin.scheme, host=origin.host, port=origin.port, target=outgoing.target
            ),
            headers=outgoing.headers,
            content=Chunks(content) if isinstance(content, bytes) else content,
            extensions=self._extensions,
        )

    async def aclose(self) -> None:
        """Close every connection that is idle, and the others as they come back."""
        await self.pool.aclose()
        if self._guard is not None:
            await self._guard.aclose()


class Connection(httpcore.AsyncHTTPConnection):
    """One connection, and until when to keep it while it is idle."""

    def __init__(
        self, base: str, tls: Callable[[], SSLContext], proxy: Proxy | None = None
    ) -> None:
        self.base = base
        self.origin = httpcore.URL(base).origin
        self.expires_at = 0.0
        self._is_unlocked = False
        self.sockets = Sockets(proxy)
        super().__init__(
            self.origin,
            ssl_context=tls() if self.origin.scheme == b"https" else None,
            network_backend=self.sockets,
        )
        # httpcore's locks give up the event loop even where nobody holds them, three rounds for
        # each request. A connection of this pool is lent to one request at a time.
        self._request_lock = nullcontext()  # type: ignore[assignment]

    def unlock(self) -> None:
        """Do without the lock of the connection that was made by now."""
        made = getattr(self, "_connection", None)
        if made is not None and not self._is_unlocked:
            vars(made)["_state_lock"] = nullcontext()
            self._is_unlocked = True

    @property
    def is_reusable(self) -> bool:
        """The last answer came whole, and nothing after it.

        What came after it would be taken for the answer to the next request, which may be that of
        another seller. httpcore does not look, and has no public way to.
        """
        state = getattr(getattr(self, "_connection", None), "_h11_state", None)
        has_more = state is not None and state.trailing_data[0]
        return self.is_available() and not has_more


class ConnectionPool:
    """Lends connections, each to one request at a time.

    Args:
        limit: connections open at a time, over all origins, as long as no more are lent.
    """

    def __init__(
        self, limit: int, *, tls: Callable[[], SSLContext], proxy: Proxy | None = None
    ) -> None:
        self._limit = limit
        self._tls = tls
        self._proxy = proxy
        self._closed = False
        self._idle: dict[str, deque[Connection]] = {}  # by base, the most recently used last
        self._reap_at = 0.0
        self.open = 0

    @property
    def idle(self) -> int:
        """Number of connections that are open and not lent."""
        return sum(map(len, self._idle.values()))

    async def acquire(self, base: str) -> Connection:
        """A connection to ``base``, which is to be given to :meth:`release`."""
        dropped: list[Connection] = []
        connection = self._pick(base, dropped)
        if dropped:
            try:
                await _close(dropped)
            except BaseException:
                await self.release(connection)
                raise
        return connection

    def _pick(self, base: str, dropped: list[Connection]) -> Connection:
        now = monotonic()
        if now >= self._reap_at:
            self._reap_at = now + REAP_INTERVAL
            for idle in self._idle.values():
                while idle and idle[0].expires_at <= now:
                    self._drop(idle.popleft(), dropped)
        idle = self._idle.setdefault(base, deque())
        while idle:
            connection = idle.pop()
            if connection.expires_at > now and not connection.has_expired():
                return connection
            self._drop(connection, dropped)
        connection = Connection(base, self._tls, self._proxy)
        others = [idle for idle in self._idle.values() if idle]
        if self.open >= self._limit and others:
            oldest = min(others, key=lambda idle: idle[0].expires_at)
            self._drop(oldest.popleft(), dropped)
        self.open += 1
        return connection

    def _drop(self, connection: Connection, dropped: list[Connection]) -> None:
        self.open -= 1
        dropped.append(connection)

    async def release(self, connection: Connection) -> None:
        """Take a connection back: keep it where it can be used again, else close it."""
        if connection.is_reusable and not self._closed:
            connection.expires_at = monotonic() + KEEPALIVE_TIMEOUT
            connection.unlock()
            self._idle[connection.base].append(connection)
        else:
            self.open -= 1
            await _close([connection])

    async def aclose(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self._closed = True
        idle = [connection for stack in self._idle.values() for connection in stack]
        self._idle.clear()
        self.open -= len(idle)
        await _close(idle)


async def _close(connections: Iterable[Connection]) -> None:
    with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
        for connection in connections:
            with suppress(Exception):  # it is of no more use, whatever is wrong with it
                await connection.aclose()
