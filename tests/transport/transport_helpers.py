"""What the tests of the transport share: requests, servers that misbehave, what to look at."""

import asyncio
import io
import os
import socket
import struct
import threading
import traceback
import zlib
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import pytest
from loopback import answer

from iop_async import HttpRequest, TransportError
from iop_async._http.exchanges import reserved

CANARY = "CANARY-500a-token"
TRICKY = "/rest/a~b/*c?a=%7B%22x%22%3A%20%22+%22%7d&b=x+y%20z&c=~*!$'(),;:@/?&d=%E6%B7%98&e=&=f"
TLS = httpx.create_ssl_context()
FORM = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}


def post(url, body=b"", headers=FORM):
    return HttpRequest("POST", url, headers, body)


def get(url):
    return HttpRequest("GET", url)


def secretive(server):
    return post(f"{server.base}/rest/order/get?session={CANARY}", f"token={CANARY}".encode())


async def failure_of(transport, request, error=TransportError):
    with pytest.raises(error) as caught:
        await transport.send(request)
    return caught.value


def report(error):
    """What an error reporter would show: everything, locals included."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    tests = Path(__file__).parent
    shown.stack[:] = [frame for frame in shown.stack if Path(frame.filename).parent != tests]
    return "".join(shown.format()) + repr(error) + str(error)


def assert_no_secret(error):
    shown = report(error)
    assert "in exchange" in shown
    assert CANARY not in shown


def open_files():
    """Regular files that this process has open."""
    files = (Path(os.path.realpath(entry)) for entry in Path("/proc/self/fd").iterdir())
    return sorted(file for file in files if file.is_file())


async def until(condition):
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.002)


def has_own_connections(transport):
    return getattr(transport, "_client_route", None) is None


def pool_of(transport):
    """The connections of a transport in this event loop."""
    return transport._exchanges.here().route.pool


def slots_of(transport):
    return transport._exchanges.here().slots


def assert_all_free(transport):
    full = {"calls": transport._max_connections, "tokens": reserved(transport._max_connections)}
    assert slots_of(transport).free == full
    assert not any(slots_of(transport).waiting.values())
    assert pool_of(transport).open == pool_of(transport).idle


async def silence(received, writer):
    await received.reader.read()


def reset(received, writer):
    writer.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


def cut(received, writer):
    writer.write(answer(CANARY.encode())[:-3])


async def trickle(received, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def answers_twice(received, writer):
    received.done = False
    for content in (received.target.encode(), b"for nobody"):
        writer.write(answer(content))
        await writer.drain()
    received.done = True
    return b""


async def each_gets_its_own(door, server, requests):
    async with door() as transport:
        for number in range(requests):
            response = await transport.send(get(f"{server.base}/{number}"))
            assert response.content == f"/{number}".encode()
            await until(lambda: getattr(server.requests[-1], "done", True))
            await anyio.sleep(0.002)


class SlowFile(io.RawIOBase):
    """One on a disk that takes nothing for now, and then a part of each piece, as raw ones may."""

    def __init__(self):
        self.may_go_on = threading.Event()
        self.size = self.crc = 0
        self.is_asked = False

    def writable(self):
        return True

    def write(self, data):
        if len(data):
            self.is_asked = True
            assert self.may_go_on.wait(60)
        taken = data[:200_000]
        self.size += len(taken)
        self.crc = zlib.crc32(taken, self.crc)
        return len(taken)


class Flood:
    """Answers with many pieces, as fast as they are taken."""

    def __init__(self, piece, count):
        self.piece, self.count = piece, count
        self.sent = 0

    async def __call__(self, received, writer):
        length = self.count * len(self.piece)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        for _ in range(self.count):
            writer.write(self.piece)
            await writer.drain()
            self.sent += 1
        return b""


async def download_slowly(transport, url, flood):
    """A download that is not written until the server is held up."""
    slow = SlowFile()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transport.download, url, slow)
        seen = -1
        while not flood.sent or flood.sent != seen:
            seen = flood.sent
            await anyio.sleep(0.4)
        assert flood.sent < flood.count
        slow.may_go_on.set()
    assert slow.size == flood.count * len(flood.piece)
    assert slow.crc == zlib.crc32(flood.piece * flood.count)


async def break_slowly(door, server):
    """A download whose connection is reset before anything of it is written."""
    slow = SlowFile()

    async def go_on():
        await until(lambda: server.requests and server.open == 0)
        slow.may_go_on.set()

    async with door() as transport, anyio.create_task_group() as tasks:
        tasks.start_soon(go_on)
        with pytest.raises(TransportError):
            await transport.download(server.base, slow)


async def suppressed(function, *args):
    with suppress(TransportError):
        await function(*args)
