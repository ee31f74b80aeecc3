"""Carries requests to a gateway unchanged, and brings the answers. The only door to httpx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final, Self

from anyio.lowlevel import current_token
from attrs import asdict, field, frozen

from ._closing import ClosesOnExit
from ._http.exchanges import Exchanges, Route, Slots, reserved
from ._http.failures import forget_frames
from ._http.loops import PerLoop, start_in
from ._http.messages import prepare
from ._http.streams import CHUNK_BYTES, Upload
from ._inputs import require_count, require_seconds
from ._scrub import scrubs_frames
from ._wire import Body, HttpRequest, HttpResponse

if TYPE_CHECKING:
    import ssl

    from ._http.borrowed import AsyncClient, ClientRoute

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024


def _seconds(default: float) -> Any:
    def validate(_instance: object, attribute: Any, value: object) -> None:
        require_seconds(attribute.name, value)

    return field(default=default, validator=validate)


def _require_timeouts(value: object) -> None:
    if not isinstance(value, Timeouts):
        msg = f"timeouts is {value!r}; give iop_async.Timeouts(total=...)"
        raise TypeError(msg)


@frozen(kw_only=True)
class Timeouts:
    """Limits on the duration of a request: seconds, more than 0; ``None`` waits for ever.

    Attributes:
        connect: until a new connection stands; once for TCP and once for TLS.
        read: until the answer begins, and between any two pieces of it.
        write: for each piece (256 KiB) of a large request.
        pool: waiting for a connection while all are in use.
        total: for everything, from waiting for a connection to the last byte of the answer.

    Time is never up before what has arrived was read: a process that stood still for a minute gets
    the answers that came meanwhile, and a moment (2 s at most) to take them in.

    Example::

        transport = iop.HttpxTransport(timeouts=iop.Timeouts(read=10, total=20))
    """

    connect: float | None = _seconds(10)
    read: float | None = _seconds(30)
    write: float | None = _seconds(30)
    pool: float | None = _seconds(10)
    total: float | None = _seconds(60)


DEFAULT_TIMEOUTS: Final = Timeouts()


class HttpxTransport(ClosesOnExit):
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
        _require_timeouts(timeouts)
        require_count("max_connections", max_connections)
        require_count("max_waiting", max_waiting)
        require_count("max_answer_bytes", max_answer_bytes)
        if client is not None and proxy is not None:
            msg = "give either a client or a proxy; a client of yours has its own"
            raise ValueError(msg)
        self._timeouts: dict[str, float | None] = asdict(timeouts)
        self._limit = max_answer_bytes
        self._user_agent = _user_agent()
        self._max_waiting = max_waiting
        self._max_connections = max_connections
        self._client_route = None if client is None else _client_route(client, self._timeouts)
        if self._client_route is None:
            self._pool_routes = _pool_routes(self._timeouts, proxy)
        self._exchanges = PerLoop(self._begin_exchanges)
        self._closed = False

    def _begin_exchanges(self) -> Exchanges:
        calls, tokens = self._max_connections, reserved(self._max_connections)
        if self._client_route is not None:
            most = min(calls, self._client_route.max_connections)
            tokens = reserved(most)
            calls = max(1, most - tokens)
        slots = Slots(calls, tokens, wait=self._timeouts["pool"], max_waiting=self._max_waiting)
        route = self._client_route or self._pool_routes(max_connections=calls)
        return Exchanges(route, slots, self._timeouts)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """One exchange. A redirect is an answer like any other.

        Raises:
            OSError, TypeError, ValueError: a file cannot be opened or is open in text mode, the URL
                is none; nothing was sent.
            TransportError: no complete answer came back.
            ProtocolError: the answer is too large, or its compression is broken.
            RuntimeError: the transport is closed.
        """
        if self._closed:
            raise _closed()
        is_small = isinstance(request.body, bytes) and len(request.body) <= CHUNK_BYTES
        upload = None if is_small else await _open(request.body)
        try:
            outgoing = prepare(request, upload, user_agent=self._user_agent, limit=self._limit)
            exchanges = self._exchanges.here()
            if self._closed:  # by another thread, which may not have seen this event loop
                raise _closed()
            return await exchanges.exchange(outgoing)
        finally:
            if upload is not None:
                upload.close()

    async def aclose(self) -> None:
        """Close all connections; requests under way fail with a ``TransportError``.

        Those of this event loop are closed when this returns; other event loops are told to close
        theirs, and do so when they come to it.
        """
        self._closed = True
        here = current_token()
        for event_loop, exchanges in self._exchanges.items():
            if event_loop != here:
                start_in(event_loop, exchanges.aclose)
        await self._exchanges.here().aclose()

    async def __aenter__(self) -> Self:
        return self


async def _open(body: Body) -> Upload:
    try:
        return await Upload.open(body)
    except (OSError, TypeError, ValueError) as exc:
        forget_frames(exc)
        raise


def _closed() -> RuntimeError:
    return RuntimeError("this transport is closed; make a new one")


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


@cache
def tls_context() -> ssl.SSLContext:
    """The TLS context of this process: making one costs 50 ms and 0.7 MB.

    Raises:
        ValueError: ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` names nothing usable.
    """
    import httpx

    try:
        return httpx.create_ssl_context()
    except OSError as error:
        msg = f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: {error}"
        raise ValueError(msg) from error


@cache
def _user_agent() -> bytes:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"iop-async/{version('iop-async')}".encode()
    except PackageNotFoundError:  # bundled into an application
        return b"iop-async"
