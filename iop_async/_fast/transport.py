"""The transport that asks nothing of an HTTP library but to read answers."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from .._http.deadlines import AsyncioTimers, TaskScope, Timers
from .._http.exchanges import Route
from .._http.timeouts import DEFAULT_TIMEOUTS, Timeouts
from .._http.tls import tls_context
from .._http.transport import MAX_ANSWER_BYTES, LoopTransport
from .._scrub import scrubs_frames

if TYPE_CHECKING:
    from .connections import FastRoute


class FastTransport(LoopTransport):
    """Carries requests over asyncio at a fraction of the cost; satisfies ``protocols.Transport``.

    It does what :class:`~iop_async.HttpxTransport` does and raises what that raises, with an
    ``asyncio.Protocol`` of its own and httptools (extra ``fast``) in the place of httpcore.

    It runs on asyncio and uvloop. Under trio, through a proxy, and over a client of yours use
    :class:`~iop_async.HttpxTransport`. Nothing that mocks httpx or httpcore sees it; tests give a
    client an :class:`iop_async.testing.FakeTransport` instead.

    Args:
        timeouts: how long a request may take.
        max_connections: to all hosts together, in each event loop; further calls wait for their
            turn. A few connections beyond these are for requests for tokens alone, which so never
            wait behind calls.
        max_waiting: calls that wait for their turn at a time; one more is refused at once, with a
            ``TransportError``.
        max_answer_bytes: a larger answer is a ``ProtocolError``.
        proxy: has to be ``None``.

    Certificates are always verified, against ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` where one is
    set.

    Constructing does no I/O. Use it as ``async with FastTransport()``, or call :meth:`aclose`. Any
    number of event loops may use it at a time, in threads or one after the other: each has
    connections of its own, which are closed with it.

    Raises:
        ImportError: the extra ``fast`` is not installed.
        ValueError: a proxy is given.
        RuntimeError: (from :meth:`send`) this is no event loop of asyncio.

    Example::

        async with (
            iop.FastTransport(max_connections=500) as transport,
            iop.Client(app, gateway, transport=transport) as client,
        ):
            await client.as_seller(token).call("/orders/get")
    """

    @scrubs_frames
    def __init__(
        self,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        max_connections: int = 100,
        max_waiting: int = 10_000,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        proxy: str | None = None,
    ) -> None:
        if proxy is not None:
            msg = "FastTransport goes through no proxy; use HttpxTransport(proxy=...)"
            raise ValueError(msg)
        super().__init__(timeouts, max_connections, max_waiting, max_answer_bytes)
        self._fast_route = _fast_route()

    def _timers(self) -> Timers:
        return AsyncioTimers(TaskScope)

    def _route(self, max_connections: int) -> Route:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            msg = "FastTransport runs on asyncio; under trio use HttpxTransport"
            raise RuntimeError(msg) from None
        return self._fast_route(
            max_connections=max_connections, timeouts=self._timeouts, tls=tls_context
        )


def _fast_route() -> type[FastRoute]:
    """Imported by whoever makes a transport, lest the first request hold up its event loop."""
    for name in ("aiohappyeyeballs", "httptools"):
        try:
            import_module(name)
        except ImportError as error:
            msg = f"iop_async.FastTransport needs {name}: install iop-async[fast]"
            raise ImportError(msg, name=name) from error
    from .connections import FastRoute

    return FastRoute
