"""What both transports have in common: a request is measured, takes its turn, and is answered."""

from __future__ import annotations

from functools import cache
from math import inf
from time import monotonic
from typing import Final, Self

from anyio.lowlevel import current_token
from attrs import asdict

from .._closing import ClosesOnExit
from .._inputs import require_count
from .._scrub import scrubs_frames
from .._wire import (
    MAX_DOWNLOAD_BYTES,
    Body,
    Downloaded,
    DownloadTarget,
    HttpRequest,
    HttpResponse,
)
from .deadlines import Timers, timers_here
from .downloads import Download, download
from .exchanges import Exchanges, Route, Slots, reserved
from .failures import forget_frames
from .links import Link
from .loops import PerLoop, start_in
from .messages import prepare
from .streams import CHUNK_BYTES, Upload
from .targets import Target
from .timeouts import Timeouts, require_timeouts

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024

_NO_TIME: Final = 0.001
"""Seconds for a request where there are none left."""


class LoopTransport(ClosesOnExit):
    """Carries requests over a route for each event loop.

    Args:
        timeouts: how long a request may take.
        max_connections: in each event loop, for all but a few requests for tokens.
        max_waiting: calls that wait for their turn at a time.
        max_answer_bytes: accepted of an answer.
    """

    def __init__(
        self, timeouts: Timeouts, max_connections: int, max_waiting: int, max_answer_bytes: int
    ) -> None:
        require_timeouts(timeouts)
        require_count("max_connections", max_connections)
        require_count("max_waiting", max_waiting)
        require_count("max_answer_bytes", max_answer_bytes)
        self._timeouts: dict[str, float | None] = asdict(timeouts)
        self._limit = max_answer_bytes
        self._user_agent = _user_agent()
        self._max_waiting = max_waiting
        self._max_connections = max_connections
        self._exchanges = PerLoop(self._begin_exchanges)
        self._closed = False

    def _begin_exchanges(self) -> Exchanges:
        calls, tokens = self._shares()
        slots = Slots(calls, tokens, wait=self._timeouts["pool"], max_waiting=self._max_waiting)
        return Exchanges(self._route(calls), slots, self._timeouts, self._timers())

    def _shares(self) -> tuple[int, int]:
        """How many requests are carried at a time: of calls, and beside them for tokens."""
        return self._max_connections, reserved(self._max_connections)

    def _route(self, max_connections: int) -> Route:
        """The way to the gateway in the running event loop."""
        raise NotImplementedError

    def _timers(self) -> Timers:
        """Those of the running event loop."""
        return timers_here()

    async def send(self, request: HttpRequest) -> HttpResponse:
        """One exchange. A redirect is an answer like any other.

        Raises:
            OSError, TypeError, ValueError: a file cannot be opened or is open in text mode, the URL
                is none; nothing was sent.
            TransportError: no complete answer came back.
            ProtocolError: the answer is too large, or its compression is broken.
            RuntimeError: the transport is closed, or is not for this kind of event loop.
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

    @scrubs_frames
    async def download(
        self,
        url: str,
        to: DownloadTarget,
        *,
        max_bytes: int = MAX_DOWNLOAD_BYTES,
        timeout: float | None = None,  # noqa: ASYNC109 - a scope cannot tell what was sent
        allow_http: bool = False,
    ) -> Downloaded:
        """One try at what :meth:`Client.download <iop_async.Client.download>` does.

        Takes its turn as a call does. Raises what that raises, and ``RuntimeError`` where the
        transport is closed, or is not for this kind of event loop.
        """
        ends = inf if timeout is None else monotonic() + timeout

        async def exchange(link: Link, target: Target) -> HttpResponse:
            if self._closed:
                raise _closed()
            outgoing = Download.prepare(
                link,
                target,
                max_bytes=max_bytes,
                timeout=None if ends == inf else max(ends - monotonic(), _NO_TIME),
                user_agent=self._user_agent,
            )
            exchanges = self._exchanges.here()
            if self._closed:  # by another thread, as above
                raise _closed()
            return await exchanges.exchange(outgoing)

        return await download(
            url, to, exchange, max_bytes=max_bytes, timeout=timeout, allow_http=allow_http
        )

    async def aclose(self) -> None:
        """Close all connections; requests under way fail with a ``TransportError``.

        Those of this event loop are closed when this returns; other event loops are told to close
        theirs, and do so when they come to it.
        """
        self._closed = True
        here = current_token()
        mine = None
        for event_loop, exchanges in self._exchanges.items():
            if event_loop == here:
                mine = exchanges
            else:
                start_in(event_loop, exchanges.aclose)
        if mine is not None:
            await mine.aclose()

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


@cache
def _user_agent() -> bytes:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"iop-async/{version('iop-async')}".encode()
    except PackageNotFoundError:  # bundled into an application
        return b"iop-async"
