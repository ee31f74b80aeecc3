"""The own connections of :class:`HttpxTransport`: httpcore's, in a pool of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from ssl import SSLContext

import httpcore

from .messages import Chunks, Outgoing, ReceivedAnswer
from .pool import ConnectionPool
from .proxies import Proxy
from .sockets import Sockets


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
        make = partial(Connection, tls=tls, proxy=proxy)
        self.pool: ConnectionPool[Connection] = ConnectionPool(max_connections, make=make)
        self._extensions = {"timeout": timeouts}

    async def carry(self, outgoing: Outgoing) -> ReceivedAnswer:
        """One exchange. Raises what httpcore raises."""
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
            connection.unlock()
        except BaseException:
            # httpcore calls a connection idle whose making failed: then nothing was sent
            outgoing.begun = outgoing.begun or not connection.is_idle()
            raise
        finally:
            connection.sockets.outgoing = None
            await self.pool.release(connection)
        return answer

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
