"""Carries requests to a gateway unchanged, and brings the answers. The only door to httpx."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import anyio
from attrs import asdict, field, frozen, validators

from ._closing import ClosesOnExit
from ._exceptions import TransportError, TransportTimeout
from ._http.failures import forget_frames, translate
from ._http.incoming import Incoming
from ._http.outgoing import Outgoing, prepare
from ._http.streams import CHUNK, CLOSE_WITHIN, Upload
from ._models import HttpRequest, HttpResponse

if TYPE_CHECKING:
    import ssl

    from ._http.borrowed import AsyncClient

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024


def _seconds(default: float) -> Any:
    more_than_0: Any = validators.optional(validators.gt(0))
    return field(default=default, validator=more_than_0)


@frozen(kw_only=True)
class Timeouts:
    """How long a request may take: seconds, more than 0; ``None`` waits for ever.

    Attributes:
        connect: until a new connection stands; once for TCP and once for TLS.
        read: until the answer begins, and between any two pieces of it.
        write: for each piece (256 KiB) of a large request.
        pool: waiting for a connection while all are in use.
        total: for everything, from waiting for a connection to the last byte of the answer.
    """

    connect: float | None = _seconds(10)
    read: float | None = _seconds(30)
    write: float | None = _seconds(30)
    pool: float | None = _seconds(10)
    total: float | None = _seconds(60)


DEFAULT_TIMEOUTS: Final = Timeouts()


class _Route(Protocol):
    async def carry(self, outgoing: Outgoing) -> Incoming: ...

    async def aclose(self) -> None: ...


class HttpxTransport(ClosesOnExit):
    """Carries requests over HTTP, any number at a time; satisfies ``protocols.Transport``.

    Args:
        client: an ``httpx.AsyncClient`` of yours (or one of the fork httpx2), for proxies, mounts
            and whatever else it does. It is not closed. What was signed is what is sent: the
            client's own headers, parameters, cookies, authentication and redirects are left out.
            By default the transport has connections of its own, which heed no proxy settings of
            the environment.
        timeouts: how long a request may take.
        max_connections: to all hosts together; further requests wait for their turn. A client of
            yours has its own limit.
        max_answer_bytes: a larger answer is a ``ProtocolError``.

    Certificates are always verified, against ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` where one is
    set. The text of a URL goes into logs and traces, so its query is masked in it: the transport
    of a client takes the target from ``request.url.raw_path``, as those of httpx do.

    Constructing does no I/O. Use it as ``async with HttpxTransport()``, or call :meth:`aclose`. It
    serves one event loop at a time, asyncio's or trio's.
    """

    def __init__(
        self,
        client: AsyncClient | None = None,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        max_connections: int = 100,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        if max_connections < 1 or max_answer_bytes < 1:
            msg = "max_connections and max_answer_bytes are at least 1"
            raise ValueError(msg)
        self._timeouts: dict[str, float | None] = asdict(timeouts)
        self._limit = max_answer_bytes
        self._user_agent = _user_agent()
        self._route = self._choose_route(client, max_connections)
        self._running: set[anyio.CancelScope] = set()
        self._drained: anyio.Event | None = None
        self._closed = False

    def _choose_route(self, client: AsyncClient | None, max_connections: int) -> _Route:
        # Imported here because httpcore takes almost as long to import as all the rest.
        if client is None:
            from ._http.connections import PoolRoute

            return PoolRoute(
                max_connections=max_connections, timeouts=self._timeouts, tls=tls_context
            )
        from ._http.borrowed import ClientRoute

        return ClientRoute(client, self._timeouts)

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
            msg = "this transport is closed; make a new one"
            raise RuntimeError(msg)
        if isinstance(request.body, bytes) and len(request.body) <= CHUNK:
            return await self._exchange(self._prepare(request, None))
        try:
            upload = await Upload.open(request.body)
        except (OSError, TypeError, ValueError) as exc:
            forget_frames(exc)
            raise
        try:
            return await self._exchange(self._prepare(request, upload))
        finally:
            upload.close()

    def _prepare(self, request: HttpRequest, upload: Upload | None) -> Outgoing:
        return prepare(request, upload, user_agent=self._user_agent, limit=self._limit)

    async def _exchange(self, outgoing: Outgoing) -> HttpResponse:
        with anyio.move_on_after(self._timeouts["total"]) as scope:
            self._running.add(scope)
            try:
                incoming = await self._route.carry(outgoing)
            except Exception as exc:
                failure = translate(exc, outgoing, self._timeouts)
                if failure is None:
                    raise
                forget_frames(exc)
                raise failure from exc
            finally:
                self._running.discard(scope)
                if self._drained is not None and not self._running:
                    self._drained.set()
            return incoming.response(lambda: outgoing.where)
        raise self._cut_short(outgoing)

    def _cut_short(self, outgoing: Outgoing) -> TransportError:
        if self._closed:
            message = f"{outgoing.where}: the transport was closed meanwhile"
            return TransportError(message, may_have_been_applied=outgoing.begun)
        message = f"{outgoing.where}: no complete answer within {self._timeouts['total']} s"
        return TransportTimeout(message, may_have_been_applied=outgoing.begun)

    async def aclose(self) -> None:
        """Close all connections; requests under way fail with a ``TransportError``."""
        self._closed = True
        for scope in self._running:
            scope.cancel()
        if self._running:
            self._drained = self._drained or anyio.Event()
            with anyio.move_on_after(CLOSE_WITHIN, shield=True):
                await self._drained.wait()
        await self._route.aclose()

    async def __aenter__(self) -> Self:
        return self


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
