"""A scripted HTTP/1.1 server on loopback, in a thread of its own."""

import asyncio
import socket
import ssl
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

KEPT = 1_000_000


@dataclass(repr=False)
class Received:
    """A request as the server saw it, byte for byte."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    body: bytes = b""
    size: int = 0
    crc: int = 0


def answer(body=b"{}", status="200 OK", **headers):
    lines = {"Content-Length": len(body), **{k.replace("_", "-"): v for k, v in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body


class InFlight:
    """Answers after a moment; ``seen`` counts the requests under way whenever one begins."""

    def __init__(self, respond):
        self._respond = respond
        self._under_way = 0
        self.seen = []

    async def __call__(self, received, writer):
        self._under_way += 1
        self.seen.append(self._under_way)
        await asyncio.sleep(0.02)
        self._under_way -= 1
        return self._respond(received, writer)


@dataclass(repr=False)
class Server:
    """Answers each request with what ``respond(received, writer)`` returns.

    ``None`` from it hangs up; a coroutine is awaited.
    """

    respond: Callable = field(default=lambda received, writer: answer())
    tls: ssl.SSLContext | None = None
    greet: Callable | None = None
    requests: list[Received] = field(default_factory=list)
    accepted: int = 0
    open: int = 0
    most_open: int = 0

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._connecting = set()
        self._connections = set()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        listener.settimeout(0)
        self.port = listener.getsockname()[1]

        async def run():
            self._loop.add_reader(listener, self._accept, listener)
            await self._stopping.wait()
            self._loop.remove_reader(listener)
            listener.close()
            # not cancelled: asyncio would forget the socket
            await asyncio.gather(*self._connecting, return_exceptions=True)
            await asyncio.sleep(0)  # a task cancelled before its first step would close nothing
            await _cancel(self._connections)

        def run_and_close():
            self._loop.run_until_complete(run())
            self._loop.close()

        self._thread = threading.Thread(target=run_and_close, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def base(self):
        host = "localhost" if self.tls else "127.0.0.1"
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def hang_up(self):
        """Close every connection from this side, idle ones included."""
        hanging_up = _cancel(self._connections)
        asyncio.run_coroutine_threadsafe(hanging_up, self._loop).result(10)

    def _accept(self, listener):
        connection, _ = listener.accept()
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection):
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with suppress(OSError):  # a client that does not trust the certificate
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self.tls
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            self.accepted += 1
            task = asyncio.create_task(self._serve(self.accepted, reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _serve(self, number, reader, writer):
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with suppress(OSError, EOFError, ValueError, asyncio.CancelledError):
                if self.greet is not None:
                    await self.greet(reader, writer)
                while await self._exchange(number, reader, writer):
                    pass
        finally:
            self.open -= 1
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, number, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} sent twice"
            headers[name.lower()] = value
        received = Received(number, method, target, headers, reader)
        async for chunk in self._body(reader, headers):
            received.size += len(chunk)
            received.crc = zlib.crc32(chunk, received.crc)
            if received.size <= KEPT:
                received.body += chunk
        self.requests.append(received)
        reply = self.respond(received, writer)
        if asyncio.iscoroutine(reply):
            reply = await reply
        if reply is None:
            return False
        writer.write(reply)
        await writer.drain()
        return b"connection: close" not in reply.lower()

    @staticmethod
    async def _body(reader, headers):
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                yield await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
            return
        left = int(headers.get("content-length", 0))
        while left:
            chunk = await reader.read(min(left, 65536))
            if not chunk:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(chunk)
            yield chunk


async def _cancel(tasks):
    tasks = tuple(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class ProxyServer:
    """What a :class:`Server` responds that is a proxy of tunnels."""

    def __init__(self, authorization=None):
        self.authorization = authorization
        self.targets = []

    async def __call__(self, received, writer):
        assert received.method == "CONNECT"
        self.targets.append(received.target)
        if received.headers.get("proxy-authorization") != self.authorization:
            return b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
        host, _, port = received.target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return b"HTTP/1.1 502 Bad Gateway\r\n\r\n"
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            with suppress(OSError):
                await asyncio.gather(
                    self.pump(received.reader, far_writer), self.pump(far_reader, writer)
                )
        finally:
            far_writer.transport.abort()
        return None

    @staticmethod
    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
