"""What is not safe is not fast: what each client does with a request that must go out once.

    python benchmarks/semantics.py

Each cell is what was seen over loopback, with the default settings of the peer but for those that
the probe is about: connections, and the time for a call. Fifteen seconds for each peer.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any

import _probes
from _report import print_setting, print_table

import iop_async as iop

PROBES: dict[str, Callable[[_probes.Make, _probes.Server], Any]] = {
    "bytes as given": _probes.bytes_as_given,
    "never repeats": _probes.never_repeats,
    "tells that nothing was sent": _probes.tells_nothing_was_sent,
    "cancel-safe": _probes.is_cancel_safe,
    "one deadline": _probes.holds_its_deadline,
    "gzip cut short is an error": _probes.hears_of_a_cut,
    "a second event loop": _probes.runs_in_a_second_loop,
    "trio": _probes.runs_under_trio,
}


class Ours:
    def __init__(self, door: str, total: float = 10.0, connections: int = 10) -> None:
        timeouts = iop.Timeouts(total=total)
        self.transport = getattr(iop, door)(timeouts=timeouts, max_connections=connections)

    async def send(self, method: str, url: str) -> bytes:
        if method == "POST":
            request = iop.HttpRequest("POST", url, {}, b"a=1")
        else:
            request = iop.HttpRequest("GET", url)
        return bytes((await self.transport.send(request)).content)

    async def aclose(self) -> None:
        await self.transport.aclose()


class Httpx:
    """Also httpx2, which has the same interface. Its timeout is for each phase: it has no other."""

    def __init__(self, module: str, total: float = 10.0, connections: int = 10) -> None:
        httpx: Any = import_module(module)
        limits = httpx.Limits(max_connections=connections)
        self.client = httpx.AsyncClient(timeout=total, limits=limits)

    async def send(self, method: str, url: str) -> bytes:
        content = b"a=1" if method == "POST" else None
        return bytes((await self.client.request(method, url, content=content)).content)

    async def aclose(self) -> None:
        await self.client.aclose()


class Aiohttp:
    """A session belongs to the event loop that it is made in."""

    def __init__(self, total: float = 10.0, connections: int = 10) -> None:
        self.session: Any = None
        self.total, self.connections = total, connections

    async def send(self, method: str, url: str) -> bytes:
        import aiohttp

        if self.session is None:
            connector = aiohttp.TCPConnector(limit=self.connections)
            timeout = aiohttp.ClientTimeout(total=self.total)
            self.session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        data = b"a=1" if method == "POST" else None
        async with self.session.request(method, url, data=data) as response:
            return bytes(await response.read())

    async def aclose(self) -> None:
        await self.session.close()


class Pyreqwest:
    def __init__(self, total: float = 10.0, connections: int = 10) -> None:
        builder: Any = import_module("pyreqwest.client").ClientBuilder()
        builder = builder.timeout(timedelta(seconds=total)).max_connections(connections)
        self.client = builder.build()

    async def send(self, method: str, url: str) -> bytes:
        request = self.client.request(method, url)
        if method == "POST":
            request = request.body_bytes(b"a=1")
        return bytes(await (await request.build().send()).bytes())

    async def aclose(self) -> None:
        await self.client.close()


CLIENTS: dict[str, tuple[str, _probes.Make]] = {
    "`FastTransport`": ("httptools", partial(Ours, "FastTransport")),
    "`HttpxTransport`": ("httpcore", partial(Ours, "HttpxTransport")),
    "aiohttp": ("aiohttp", Aiohttp),
    "httpx": ("httpx", partial(Httpx, "httpx")),
    "httpx2": ("httpx2", partial(Httpx, "httpx2")),
    "pyreqwest": ("pyreqwest", Pyreqwest),
}


def probe(client: str, name: str) -> str:
    """One cell, over a server of its own."""
    run, make = PROBES[name], CLIENTS[client][1]
    with _probes.serving() as server:
        if asyncio.iscoroutinefunction(run):
            return str(asyncio.run(run(make, server)))
        return str(run(make, server))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    warnings.simplefilter("ignore")  # of sessions that cannot be closed in a second event loop
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    print_setting("iop-async", "aiohttp", "httpx", "httpx2", "pyreqwest", "trio")
    rows = []
    for client, (module, _) in CLIENTS.items():
        if importlib.util.find_spec(module) is None:
            print(f"{client} is left out: it is not installed", file=sys.stderr)
            continue
        rows.append([client, *(probe(client, name) for name in PROBES)])
        print(f"{client} is done", file=sys.stderr)
    print_table(["", *PROBES], rows)


if __name__ == "__main__":
    main()
