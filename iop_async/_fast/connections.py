"""One connection: an ``asyncio.Protocol`` that carries one request at a time."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from ssl import SSLContext
from typing import Any, Final, cast
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection

from .._http.downloads import FileAnswer
from .._http.failures import (
    ConnectError,
    ConnectTimeout,
    LocalProtocolError,
    RemoteProtocolError,
    WriteTimeout,
)
from .._http.messages import Outgoing, ReceivedAnswer, require_time
from .._http.pool import ConnectionPool, watch_input
from .._http.streams import Upload
from .answers import IncomingAnswer

HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds that an address is given before the next is tried as well (RFC 8305)."""

_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")


class FastRoute:
    """Carries requests over connections of its own, in one event loop.

    Args:
        max_connections: open at a time, over all origins.
        timeouts: seconds by phase: ``connect``, ``write``, ``read``.
        tls: gives the TLS context, once one is needed.
    """

    def __init__(
        self,
        *,
        max_connections: int,
        timeouts: Mapping[str, float | None],
        tls: Callable[[], SSLContext],
    ) -> None:
        make = partial(Connection, tls=tls, timeouts=timeouts)
        self.pool: ConnectionPool[Connection] = ConnectionPool(max_connections, make=make)

    async def carry(self, outgoing: Outgoing) -> ReceivedAnswer:
        """One exchange. Raises an ``ExchangeFailure``, or the ``OSError`` of a connection."""
        connection = await self.pool.acquire(outgoing.base)
        try:
            outgoing.on_kept_connection = connection.is_reusable
            if not connection.is_reusable:
                await connection.connect()
            return await connection.exchange(outgoing)
        finally:
            await self.pool.release(connection)

    async def aclose(self) -> None:
        """Close every connection that is idle, and the others as they come back."""
        await self.pool.aclose()


class Connection(asyncio.Protocol):
    """One connection, and until when to keep it while it is idle.

    Attributes:
        is_reusable: it stands, and all that was sent over it, if anything, was answered whole.
    """

    def __init__(
        self,
        base: str,
        *,
        tls: Callable[[], SSLContext],
        timeouts: Mapping[str, float | None],
    ) -> None:
        url = urlsplit(base)
        self.base = base
        self._host, self._port = url.hostname or "", url.port or 0
        self.expires_at = 0.0
        self.is_reusable = False
        self._tls = tls() if base.startswith("https:") else None
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._has_input: Callable[[], bool] = lambda: True
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._outgoing: Outgoing | None = None
        self._incoming: IncomingAnswer | None = None
        self._answered: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._full: asyncio.Future[None] | None = None  # while a file comes; see _hold_back
        self._is_sent = False
        self._writable: asyncio.Future[None] | None = None  # while there is no more to be written

    def has_expired(self) -> bool:
        """The other side has closed it, or sent something while it was idle."""
        return self._transport.is_closing() or self._has_input()

    async def connect(self) -> None:
        """Connect, and agree on TLS. Raises :class:`ConnectTimeout` or :class:`ConnectError`."""
        seconds = self._timeouts["connect"]
        try:
            async with asyncio.timeout(seconds):
                found = await self._loop.getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM
                )
                # asyncio's own way to several addresses loses sockets where it is cancelled
                stream = await start_connection(found, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY)
                self._has_input = watch_input(stream.fileno())
                await self._loop.create_connection(lambda: self, sock=stream)
            if self._tls is not None:
                async with asyncio.timeout(seconds):
                    self._transport = await self._loop.start_tls(
                        self._transport,
                        self,
                        self._tls,
                        server_hostname=self._host,
                        ssl_handshake_timeout=2 * (seconds or 3600.0),  # ours rings before it
                    )
            self.is_reusable = True
        except BaseException as error:
            if self._transport is not None:
                self._transport.abort()
                self._lost.cancel()  # asyncio does not tell of the end of a handshake
            if isinstance(error, TimeoutError) and not error.errno:
                raise ConnectTimeout from error
            if isinstance(error, OSError):
                raise ConnectError from _plain(error)
            raise

    async def exchange(self, outgoing: Outgoing) -> ReceivedAnswer:
        """Send a request, and take in its answer."""
        head = _head(outgoing)
        if outgoing.send_before is not None:
            require_time(outgoing.send_before)
        self.is_reusable = False
        if self._transport.is_closing():
            msg = "Server disconnected without sending a response"
            raise RemoteProtocolError(msg)
        self._outgoing, self._answered = outgoing, self._loop.create_future()
        self._incoming = incoming = IncomingAnswer(outgoing)
        outgoing.begun = True
        try:
            if isinstance(outgoing.content, bytes):
                self._transport.write(head + outgoing.content)
            else:
                self._transport.write(head)
                await self._send(outgoing.content, self._answered)
            if not self._answered.done():
                self._is_sent = True
                outgoing.expect(self._timeouts["read"])
                if outgoing.streams:
                    await self._write_out(outgoing, self._answered)
                else:
                    await self._answered
            if self._failure is not None:
                raise self._failure
            self.is_reusable = (
                self._is_sent
                and incoming.may_follow
                and not self._transport.get_write_buffer_size()  # answered before it was read
                and not self._transport.is_closing()
            )
        finally:
            incoming.close()
            self._outgoing = self._incoming = self._answered = self._failure = None
            self._full = None
            self._is_sent = False
        return cast("ReceivedAnswer", outgoing.answer)

    async def _write_out(self, outgoing: Outgoing, answered: asyncio.Future[None]) -> None:
        """Write a file as it comes, and have no more of it sent than can be written."""
        while not answered.done():
            self._full = self._loop.create_future()
            await self._full
            answer = outgoing.answer
            if self._failure is not None or not isinstance(answer, FileAnswer):
                return
            await answer.drain()
            if answer.unreadable:
                return
            outgoing.expect(self._timeouts["read"])
            self._transport.resume_reading()

    async def _send(self, upload: Upload, answered: asyncio.Future[None]) -> None:
        """Send an upload, or as much of it as the other side wants before it answers."""
        is_chunked = upload.length is None
        async for chunk in upload:
            if self._has_input():  # an answer that is read only before a write fails
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            if answered.done():
                return
            self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if is_chunked else chunk)
            if self._writable is not None:
                await self._drain(self._writable)
            if answered.done():
                return
        if is_chunked:
            self._transport.write(b"0\r\n\r\n")

    async def _drain(self, writable: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(self._timeouts["write"]):
                await writable
        except TimeoutError as error:
            raise WriteTimeout from error

    async def aclose(self) -> None:
        """Close it at once: what is still to be sent is not sent."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()
            await asyncio.wait([self._lost])

    def _finish(self, failure: Exception | None = None) -> None:
        """Wake up the request: it is answered, or nothing more comes."""
        if self._answered is not None and not self._answered.done():
            self._failure = failure
            self._answered.set_result(None)
        if self._full is not None and not self._full.done():
            self._full.set_result(None)
        self.resume_writing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop, as are those below."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A piece of the answer; or what nobody asked for, which ends the connection."""
        incoming, outgoing = self._incoming, self._outgoing
        if incoming is None or outgoing is None or incoming.is_over:
            self._transport.abort()
            return
        try:
            is_over = incoming.feed(data)
        except Exception as error:  # noqa: BLE001 - it is raised where the request was made
            self._finish(error)
            return
        if is_over:
            self._finish()
        elif self._is_sent:
            outgoing.expect(self._timeouts["read"])
            if outgoing.streams:
                self._hold_back(outgoing)

    def _hold_back(self, outgoing: Outgoing) -> None:
        """Receive no more for now where what came is to be written first."""
        is_full = isinstance(outgoing.answer, FileAnswer) and outgoing.answer.is_full
        if is_full and self._full is not None and not self._full.done():
            self._transport.pause_reading()
            self._full.set_result(None)

    def eof_received(self) -> None:
        """The other side sends no more; the event loop then closes the connection."""
        if self._incoming is not None and not self._incoming.is_over:
            try:
                self._incoming.end()
            except RemoteProtocolError as error:
                self._finish(error)
            else:
                self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over. One by TLS may end without a word before."""
        if exc is None:
            self.eof_received()
        else:
            self._finish(exc)
        self.resume_writing()
        with suppress(asyncio.InvalidStateError):
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        """No more is to be written for now."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """There is room for more."""
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None


def _head(outgoing: Outgoing) -> bytes:
    """The request line and the headers. Raises :class:`LocalProtocolError`."""
    line = b"%b %b HTTP/1.1" % (outgoing.method.encode(), outgoing.target)
    lines = [line, *map(b": ".join, outgoing.headers)]
    head = b"\r\n".join([*lines, b"", b""])
    if len(head.splitlines()) > len(lines) + 1 or b"\0" in head:
        msg = "a header holds a line end"
        raise LocalProtocolError(msg)
    return head


def _plain(error: OSError) -> OSError:
    """The last of several errors, which are one text where several addresses were in vain."""
    numbers = _ERRNO.findall(str(error))
    if not error.errno and numbers:
        return OSError(int(numbers[-1]), os.strerror(int(numbers[-1])))
    return error
