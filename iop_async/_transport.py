"""Carries requests to a gateway unchanged, and brings the answers, over httpcore or httpx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ._http.exchanges import Route, reserved
from ._http.timeouts import DEFAULT_TIMEOUTS, Timeouts
from ._http.tls import tls_context
from ._http.transport import MAX_ANSWER_BYTES, LoopTransport
from ._scrub import scrubs_frames

if TYPE_CHECKING:
    from ._http.borrowed import AsyncClient, ClientRoute

__all__ = ["DEFAULT_TIMEOUTS", "MAX_ANSWER_BYTES", "HttpxTransport", "Timeouts"]


class HttpxTransport(LoopTransport):
    """Carries requests over HTTP, any number at a time; satisfies ``protocols.Transport``.

    Args:
        client: an ``httpx.AsyncClient`` of yours (or one of the fork httpx2), for proxies, mounts
            and whatever else it does. It is not closed. What was signed is what is sent: the
            client's own headers, parameters, cookies, authentication and redirects are left out.
            By default the transport has connections of its own, which heed no proxy settings of
            the environment (an error of theirs names one that is set).
        proxy: ``http://host:port``, with ``user:password@`` where it wants one: connections are
            tunnels through it. Proxies by https or SOCKS are for a client of yours.
        timeouts: how long a request may take.
        max_connections: to all hosts together, in each event loop; further calls wait for their
            turn. A few connections beyond these are for requests for tokens alone, which so never
            wait behind calls. Of a client of yours this is the limit that *it* has, or a lower
            one; the few are taken from it.
        max_waiting: calls that wait for their turn at a time; one more is refused at once, with a
            ``TransportError``.
        max_answer_bytes: a larger answer is a ``ProtocolError``.

    The default connections stand on httpcore: respx and whatever else mocks that sees them, but
    what patches httpx (pytest-httpx, instrumentations) sees a client of yours only.

    Certificates are always verified, against ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` where one is
    set. The text of a URL goes into logs and traces, so the values of its secret parameters
    (tokens, signatures) are masked in it: the transport of a client takes the target from
    ``request.url.raw_path``, as those of httpx do.

    Constructing does no I/O. Use it as ``async with HttpxTransport()``, or call :meth:`aclose`.
    Any number of event loops may use it at a time, in threads or one after the other, asyncio's or
    trio's: each has connections of its own, which are closed with it. (A client of yours serves
    the event loops that it can.)

    Example::

        timeouts = iop.Timeouts(read=10, total=20)
        async with (
            iop.HttpxTransport(timeouts=timeouts, max_connections=50) as transport,
            iop.Client(app, gateway, transport=transport) as client,
        ):
            await client.as_seller(token).call("/orders/get")
    """

    @scrubs_frames
    def __init__(
        self,
        client: AsyncClient | None = None,
        *,
        proxy: str | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        max_connections: int = 100,
        max_waiting: int = 10_000,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        super().__init__(timeouts, max_connections, max_waiting, max_answer_bytes)
        if client is not None and proxy is not None:
            msg = "give either a client or a proxy; a client of yours has its own"
            raise ValueError(msg)
        self._client_route = None if client is None else _client_route(client, self._timeouts)
        if self._client_route is None:
            self._pool_routes = _pool_routes(self._timeouts, proxy)

    def _shares(self) -> tuple[int, int]:
        if self._client_route is None:
            return super()._shares()
        most = min(self._max_connections, self._client_route.max_connections)
        return max(1, most - reserved(most)), reserved(most)

    def _route(self, max_connections: int) -> Route:
        return self._client_route or self._pool_routes(max_connections=max_connections)


# Imported here because httpcore takes almost as long to import as all the rest: by whoever makes a
# transport, lest the first request hold up its event loop.
def _client_route(client: AsyncClient, timeouts: Mapping[str, float | None]) -> ClientRoute:
    from ._http.borrowed import ClientRoute

    return ClientRoute(client, timeouts)


def _pool_routes(timeouts: Mapping[str, float | None], proxy: object) -> Callable[..., Route]:
    from ._http.connections import PoolRoute
    from ._http.proxies import Proxy

    through = None if proxy is None else Proxy.of(proxy)
    return partial(PoolRoute, timeouts=timeouts, tls=tls_context, proxy=through)
