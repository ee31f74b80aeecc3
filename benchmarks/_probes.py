"""What a client does where it matters: small exchanges with a server that misbehaves as some do.

Each probe returns a cell of the table: ``yes``, or ``no`` with what was seen.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, Protocol

LATE, DRIP = 0.2, 0.05  # seconds
TRIES = 20
PLAIN = "/plain?a='&b=%27&c=~&d=%7E&e=%2f&f=x+y&g=%C3%A9&g=2&h="
PACKED = gzip.compress(b"what is sold by weight " * 40)


class Client(Protocol):
    """One of those that are compared, with a number of connections and a time for a call."""

    async def send(self, method: str, url: str) -> bytes:
        """The body of the answer."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


Make = Callable[..., Client]
"""Makes a client: ``total`` seconds for a call, ``connections`` at most."""


class Server:
    """Does what the path says, and notes what it was asked for."""

    def __init__(self) -> None:
        self.url = ""
        self.targets: list[str] = []
        self.loop = asyncio.new_event_loop()

    async def serve(self, tell: Callable[[str], None]) -> None:
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        tell(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            for number in range(1000):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                _, _, rest = head.lower().partition("content-length:")
                await reader.readexactly(int(rest.partition("\r\n")[0] or 0))
                target = head.split(" ", 2)[1]
                self.targets.append(target)
                if not await self.answer(target, writer, is_first=not number):
                    break
        writer.close()

    async def answer(self, target: str, writer: asyncio.StreamWriter, *, is_first: bool) -> bool:
        """Whether the connection goes on."""
        path, _, query = target.partition("?")
        status, headers, body = "200 OK", "", query.encode()
        if path == "/eats" or (path == "/closes" and not is_first):
            return False
        if path == "/late":
            await asyncio.sleep(LATE)
        if path == "/elsewhere":
            status, headers = "307 Temporary Redirect", "Location: /plain?redirected\r\n"
        if path == "/cut":
            headers, body = "Content-Encoding: gzip\r\n", PACKED[:-6]
        if path == "/drips":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n")
            for _ in range(60):
                writer.write(b".")
                await writer.drain()
                await asyncio.sleep(DRIP)
            return True
        head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        return True


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a thread, since the event loops of clients come and go."""
    server = Server()
    task = server.loop.create_task(server.serve(lambda url: setattr(server, "url", url)))
    thread = Thread(target=lambda: server.loop.run_until_complete(task))
    thread.start()
    try:
        while not server.url:
            asyncio.run(asyncio.sleep(0.01))
        yield server
    finally:
        server.loop.call_soon_threadsafe(task.cancel)
        thread.join()


async def outcome(call: Awaitable[bytes]) -> bytes | Exception:
    """The answer or the error, after ten seconds at most."""
    try:
        async with asyncio.timeout(10):
            return await call
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        return error


def told(said: bytes | Exception) -> str:
    return type(said).__name__ if isinstance(said, Exception) else "a success"


async def bytes_as_given(make: Make, server: Server) -> str:
    client = make()
    said = await outcome(client.send("GET", server.url + PLAIN))
    await client.aclose()
    if isinstance(said, Exception):
        return f"no: {told(said)}"
    before, after = PLAIN.partition("?")[2].split("&"), said.decode().split("&")
    if before == after:
        return "yes"
    changed = [
        f"`{old}` becomes `{new}`" for old, new in zip(before, after, strict=False) if old != new
    ]
    return "no: " + ", ".join(changed or ["some is missing"])


async def never_repeats(make: Make, server: Server) -> str:
    """A kept connection that the server closes when it has read the next request."""
    seen = []
    for method in ("GET", "POST"):
        client = make()
        for number in range(2):
            await outcome(client.send(method, f"{server.url}/closes?{method}{number}"))
        times = Counter(server.targets)[f"/closes?{method}1"]
        if times != 1:
            seen.append(f"a {method} is sent {times} times")
        await client.aclose()
    client = make()
    await outcome(client.send("POST", f"{server.url}/elsewhere"))
    await client.aclose()
    if "/plain?redirected" in server.targets:
        seen.append("a redirected POST is sent again")
    return "no: " + "; ".join(seen) if seen else "yes"


async def tells_nothing_was_sent(make: Make, server: Server) -> str:
    """A refused connection against a server that has read everything."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        refused = f"http://127.0.0.1:{closed.getsockname()[1]}/plain"
    client = make()
    errors = [await outcome(client.send("POST", url)) for url in (refused, f"{server.url}/eats")]
    await client.aclose()
    flags = [getattr(error, "may_have_been_applied", None) for error in errors]
    names = [told(error) for error in errors]
    if None not in flags:
        return "yes" if flags == [False, True] else f"no: {flags}"
    return (
        f"by type: {names[0]}, {names[1]}" if names[0] != names[1] else f"no: {names[0]} for both"
    )


async def is_cancel_safe(make: Make, server: Server) -> str:
    """A call is cancelled while it waits for its answer, another while it waits for its turn."""
    seen: Counter[str] = Counter()
    client = make(connections=1)
    for number in range(TRIES):
        first = asyncio.ensure_future(outcome(client.send("GET", f"{server.url}/late?a{number}")))
        queued = asyncio.ensure_future(client.send("GET", f"{server.url}/plain?b{number}"))
        await asyncio.sleep(LATE / 4)
        queued.cancel()
        await asyncio.wait({queued}, timeout=5)
        seen["goes on"] += not queued.cancelled()
        await first
        first = asyncio.ensure_future(client.send("GET", f"{server.url}/late?c{number}"))
        await asyncio.sleep(LATE / 4)
        first.cancel()
        await asyncio.wait({first}, timeout=5)
        seen["goes on"] += not first.cancelled()
        said = await outcome(client.send("GET", f"{server.url}/plain?d{number}"))
        seen["the next call fails"] += isinstance(said, Exception)
        seen["the next call gets its answer"] += said == b"c%d" % number
    await asyncio.sleep(2 * LATE)
    await client.aclose()
    seen["is sent later"] = sum(target.startswith("/plain?b") for target in server.targets)
    found = [f"{what} ({times} of {TRIES})" for what, times in seen.items() if times]
    return "no: " + "; ".join(found) if found else "yes"


async def holds_its_deadline(make: Make, server: Server) -> str:
    """Half a second for an answer that takes three, in pieces that come soon enough each."""
    client = make(total=0.5)
    said = await outcome(client.send("GET", f"{server.url}/drips"))
    await client.aclose()
    return "yes" if isinstance(said, Exception) else "no"


async def hears_of_a_cut(make: Make, server: Server) -> str:
    client = make()
    said = await outcome(client.send("GET", f"{server.url}/cut"))
    await client.aclose()
    return "yes" if isinstance(said, Exception) else "no: a success"


def runs_in_a_second_loop(make: Make, server: Server) -> str:
    client = make()
    asyncio.run(outcome(client.send("GET", f"{server.url}/plain?first")))

    async def again() -> bytes | Exception:
        said = await outcome(client.send("GET", f"{server.url}/plain?second"))
        with suppress(Exception):
            await client.aclose()
        return said

    said = asyncio.run(again())
    return "yes" if said == b"second" else f"no: {told(said)}"


def runs_under_trio(make: Make, server: Server) -> str:
    import trio

    async def main() -> Any:
        client = make()
        with trio.fail_after(10):
            said = await client.send("GET", f"{server.url}/plain?trio")
            await client.aclose()
        return said

    try:
        said = trio.run(main)
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        return f"no: {told(error)}"
    return "yes" if said == b"trio" else "no"
