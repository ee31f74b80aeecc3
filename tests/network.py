"""A network between hosts and a server, which somebody cuts."""

import asyncio
import socket
import struct
import threading
from contextlib import suppress

_RESET = struct.pack("ii", 1, 0)

CUTS = ("refuse", "hang", "reset", "strand")
"""``refuse``: nobody listens, and what was connected is closed. ``hang``: nothing is carried; what
was said meanwhile arrives afterwards. ``reset``: every connection is, and every new one.
``strand``: those that there are carry nothing any more, and nobody is told; new ones work."""


class Network:
    """Carries bytes between a port of its own and that of a server, in a thread of its own.

    Attributes:
        sendings: how often something came from a host; what it sent at once counts once.
    """

    def __init__(self, port):
        self.sendings = 0
        self.port = None
        self._behind = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._links = set()
        self._cut = None

    def __enter__(self):
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_):
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def cut(self, kind):
        """Begin one of :data:`CUTS`."""
        self._do(self._begin(kind))

    def mend(self):
        """Carry again, and listen again."""
        self._do(self._end())

    def lead_to(self, port):
        """Have new connections go to another server; those that there are stay where they are."""
        self._behind = port

    async def _listen(self):
        # on the port that it had, since those who connect know no other
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port or 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _begin(self, kind):
        self._cut = kind
        if kind == "refuse":
            self._server.close()
        for link in list(self._links):
            if kind in {"refuse", "reset"}:
                link.abort()
            else:
                link.carries.clear()
                link.is_stranded = kind == "strand"

    async def _end(self):
        if self._cut == "refuse":
            await self._listen()
        self._cut = None
        for link in self._links:
            if not link.is_stranded:
                link.carries.set()

    async def _serve(self, reader, writer):
        link = _Link(writer, self._count)
        self._links.add(link)
        try:
            if self._cut == "reset":
                return
            if self._cut == "hang":
                link.carries.clear()
            with suppress(OSError, asyncio.CancelledError):
                await link.carry(reader, self._behind)
        finally:
            self._links.discard(link)
            link.abort()

    def _count(self):
        self.sendings += 1

    async def _close(self):
        self._server.close()
        for _ in range(10):  # who has just connected is served some turns of the loop later
            await asyncio.sleep(0)
            for link in list(self._links):
                link.abort()
                link.task.cancel()
        while self._links:
            await asyncio.sleep(0)


class _Link:
    """A connection from a host, and the one that goes on to the server."""

    def __init__(self, writer, count):
        self._count = count
        self.carries = asyncio.Event()
        self.carries.set()
        self.is_stranded = False
        self.task = asyncio.current_task()
        self._writers = [writer]

    async def carry(self, reader, port):
        await self.carries.wait()
        there, writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(writer)
        ways = [
            asyncio.ensure_future(self._one_way(reader, writer, self._count)),
            asyncio.ensure_future(self._one_way(there, self._writers[0])),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _one_way(self, reader, writer, count=None):
        while data := await reader.read(2**20):
            if count is not None:
                count()
            await self.carries.wait()
            writer.write(data)
            await writer.drain()
        await self.carries.wait()  # an end is not seen either while nothing is carried

    def abort(self):
        for writer in self._writers:
            with suppress(OSError, ValueError):
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
