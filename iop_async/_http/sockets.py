"""The sockets under httpcore's connections, on anyio, for both event loops.

httpcore's own write the head and the body of a request apart, each under a timeout of its own:
twice the packets and TLS records, and a tenth of the time that a small request takes. They also
forget a socket whose TLS handshake is cancelled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ssl import SSLContext, SSLError, SSLObject, SSLWantReadError
from typing import Any, Final

import anyio
import httpcore
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSAttribute, TLSStream

from .messages import Outgoing, require_time
from .pool import has_input
from .proxies import Proxy
from .streams import CLOSE_TIMEOUT

COALESCE_BYTES: Final = 64 * 1024
"""Bytes of a request that wait for the rest of it."""

_BROKEN = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)


@contextmanager
def _failing_as(
    timeout_error: type[httpcore.TimeoutException], error: type[Exception]
) -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise timeout_error from exc
    except _BROKEN as exc:
        raise error from exc


class Sockets(httpcore.AsyncNetworkBackend):
    """Opens the socket of one connection.

    Attributes:
        outgoing: the request at hand. httpcore has no way to hand it to the socket.
        proxy: whose tunnel it goes through.
    """

    def __init__(self, proxy: Proxy | None = None) -> None:
        self.outgoing: Outgoing | None = None
        self.proxy = proxy

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - nobody here sets any
    ) -> httpcore.AsyncNetworkStream:
        """Raises ``httpcore.ConnectTimeout``, ``httpcore.ConnectError`` or ``ProxyError``."""
        if self.proxy is not None:
            return await self._connect_through(self.proxy, host, port, timeout)
        with _failing_as(httpcore.ConnectTimeout, httpcore.ConnectError), anyio.fail_after(timeout):
            return _Stream(await anyio.connect_tcp(host, port, local_host=local_address), self)

    async def _connect_through(
        self, proxy: Proxy, host: str, port: int, seconds: float | None
    ) -> httpcore.AsyncNetworkStream:
        with _failing_as(httpcore.ConnectTimeout, httpcore.ProxyError), anyio.fail_after(seconds):
            stream = await anyio.connect_tcp(proxy.host, proxy.port)
            try:
                await proxy.tunnel(stream, host, port)
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise
            return _Stream(stream, self)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: SocketStream, sockets: Sockets) -> None:
        self._stream: ByteStream = stream
        self._sockets = sockets
        self._socket = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - no SQL here
        self._tls: SSLObject | None = None
        self._unsent = b""
        self._has_begun = False  # to send the request at hand

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._unsent = self._unsent + buffer if self._unsent else buffer
        if len(self._unsent) > COALESCE_BYTES:
            with _failing_as(httpcore.WriteTimeout, httpcore.WriteError), anyio.fail_after(timeout):
                await self._flush()

    async def _flush(self) -> None:
        if not self._has_begun:
            if self._sockets.outgoing is not None:
                require_time(self._sockets.outgoing.send_before)
            self._has_begun = True
        unsent, self._unsent = self._unsent, b""
        await self._stream.send(unsent)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        if self._sockets.outgoing is not None:
            self._sockets.outgoing.expect(timeout)
        try:
            if self._unsent:
                await self._flush()
            self._has_begun = False
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except _BROKEN as exc:
            raise httpcore.ReadError from exc

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            with (
                _failing_as(httpcore.ConnectTimeout, httpcore.ConnectError),
                anyio.fail_after(timeout),
            ):
                stream = await TLSStream.wrap(
                    self._stream,
                    ssl_context=ssl_context,
                    hostname=server_hostname,
                    standard_compatible=False,
                )
        except BaseException:
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await self.aclose()
            raise
        self._stream = stream
        self._tls = stream.extra(TLSAttribute.ssl_object)  # noqa: S610
        return self

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return has_input(self._socket.fileno()) or (
                self._tls is not None and _holds_more(self._tls)
            )
        return self._tls if info == "ssl_object" else None


def _holds_more(tls: SSLObject) -> bool:
    """True where something came with the last answer that is not part of it."""
    try:
        tls.read(1)
    except SSLWantReadError:
        return False
    except SSLError:
        return True
    return True
