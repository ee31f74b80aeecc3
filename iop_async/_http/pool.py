"""The connections of a transport in one event loop: most recently used first, bound to the loop.

httpcore's own pool looks at every connection for every request, so that a request gets dearer with
every connection there is. Here it costs the same however many there are.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from time import monotonic
from typing import Final, Generic, Protocol, TypeVar

import anyio

from .streams import CLOSE_TIMEOUT

KEEPALIVE_TIMEOUT: Final = 20.0
"""Seconds that an idle connection is kept."""

REAP_INTERVAL: Final = 1.0


class PooledConnection(Protocol):
    """What is pooled.

    Attributes:
        base: ``https://host:port``.
        expires_at: until when to keep it while it is idle, by ``time.monotonic``.
    """

    base: str
    expires_at: float

    @property
    def is_reusable(self) -> bool:
        """The last answer came whole, and nothing after it."""
        ...

    def has_expired(self) -> bool:
        """The other side has closed it, or sent something while it was idle."""
        ...

    async def aclose(self) -> None:
        """Close it at once."""
        ...


C = TypeVar("C", bound=PooledConnection)


class ConnectionPool(Generic[C]):
    """Lends connections, each to one request at a time.

    Args:
        limit: connections open at a time, over all origins, as long as no more are lent.
        make: makes a connection to a base, unconnected as yet.
    """

    def __init__(self, limit: int, *, make: Callable[[str], C]) -> None:
        self._limit = limit
        self._make = make
        self._closed = False
        self._idle: dict[str, deque[C]] = {}  # by base, the most recently used last
        self._reap_at = 0.0
        self._guard: AsyncGenerator[None, None] | None = None
        self.open = 0

    @property
    def idle(self) -> int:
        """Number of connections that are open and not lent."""
        return sum(map(len, self._idle.values()))

    async def acquire(self, base: str) -> C:
        """A connection to ``base``, which is to be given to :meth:`release`."""
        if self._guard is None:
            self._guard = self._close_with_the_loop()
            await anext(self._guard)
        dropped: list[C] = []
        connection = self._pick(base, dropped)
        if dropped:
            try:
                await _close(dropped)
            except BaseException:
                await self.release(connection)
                raise
        return connection

    async def _close_with_the_loop(self) -> AsyncGenerator[None, None]:
        """Closes the connections where the event loop ends before anybody does.

        An event loop closes the asynchronous generators that were begun in it, and has no other
        way to tell of its end.
        """
        try:
            yield
        finally:
            await self._close_idle()

    def _pick(self, base: str, dropped: list[C]) -> C:
        now = monotonic()
        if now >= self._reap_at:
            self._reap_at = now + REAP_INTERVAL
            for stack in self._idle.values():
                while stack and stack[0].expires_at <= now:
                    self._drop(stack.popleft(), dropped)
        idle = self._idle.get(base)
        if idle is None:
            idle = self._idle[base] = deque()
        while idle:
            connection = idle.pop()
            if connection.expires_at > now and not connection.has_expired():
                return connection
            self._drop(connection, dropped)
        connection = self._make(base)
        others = [idle for idle in self._idle.values() if idle]
        if self.open >= self._limit and others:
            oldest = min(others, key=lambda idle: idle[0].expires_at)
            self._drop(oldest.popleft(), dropped)
        self.open += 1
        return connection

    def _drop(self, connection: C, dropped: list[C]) -> None:
        self.open -= 1
        dropped.append(connection)

    async def release(self, connection: C) -> None:
        """Take a connection back: keep it where it can be used again, else close it."""
        if connection.is_reusable and not self._closed:
            connection.expires_at = monotonic() + KEEPALIVE_TIMEOUT
            self._idle[connection.base].append(connection)
        else:
            self.open -= 1
            await _close([connection])

    async def aclose(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        await self._close_idle()
        if self._guard is not None:
            await self._guard.aclose()

    async def _close_idle(self) -> None:
        self._closed = True
        idle = [connection for stack in self._idle.values() for connection in stack]
        self._idle.clear()
        self.open -= len(idle)
        await _close(idle)


async def _close(connections: Iterable[PooledConnection]) -> None:
    with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
        for connection in connections:
            with suppress(Exception):  # it is of no more use, whatever is wrong with it
                await connection.aclose()


def has_input(fd: int) -> bool:
    """Whether a socket has anything to read: data, or its end. A closed one has."""
    return fd < 0 or watch_input(fd)()


def watch_input(fd: int) -> Callable[[], bool]:
    """As :func:`has_input`, to be asked again and again of a socket that is open."""
    if not hasattr(select, "poll"):  # Windows
        return lambda: bool(select.select([fd], [], [], 0)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return lambda: bool(poll.poll(0))
