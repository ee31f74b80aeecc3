"""A scripted HTTP/1.1 server on loopback, in a thread of its own."""

import asyncio
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
        self._connections = set()
        started = threading.Event()

        async def start():
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", 0, ssl=self.tls, backlog=1000
            )
            self.port = self._server.sockets[0].getsockname()[1]
            started.set()

        def run():
            self._loop.run_until_complete(start())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *exc_info):
        async def stop():
            self._server.close()
            await _cancel(asyncio.all_tasks() - {asyncio.current_task()})

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def base(self):
        host = "localhost" if self.tls else "127.0.0.1"
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def hang_up(self):
        """Close every connection from this side, idle ones included."""
        hanging_up = _cancel(self._connections)
        asyncio.run_coroutine_threadsafe(hanging_up, self._loop).result(10)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        self.accepted += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        number = self.accepted
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self.greet is not None:
                    await self.greet(reader, writer)
                while await self._exchange(number, reader, writer):
                    pass
        finally:
            self.open -= 1
            self._connections.discard(task)
            writer.close()
            with suppress(Exception, asyncio.CancelledError):
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
