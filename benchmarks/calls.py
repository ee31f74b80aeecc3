"""CPU that a signed call costs the client: iop_async over both its doors, httpx and aiohttp.

The measure is a bare POST: aiohttp sends a request that is ready, and reads bytes. Every other peer
signs, encodes and decodes with the same functions of this library, so only the transport differs.
The gateway is another process on loopback that answers with a fixed token. All cells are measured
in turn, several rounds, since a machine has its moods: compare within one run.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import aiohttp
import httpx

import iop_async as iop

CONCURRENCIES = (1, 20, 100, 500, 2000)
MEASURE = "a bare POST of aiohttp"
FAST = "iop_async, FastTransport"
APP = iop.App("12345678", "helloworld")
TOKEN = "5000" + "0123456789abcdef" * 3
API = "/product/get"
PARAMS = {"item_id": 652874751412, "fields": ["title", "price", "skus"], "locale": "zh_CN"}

ANSWER = json.dumps(
    {
        "access_token": TOKEN,
        "refresh_token": TOKEN[::-1],
        "expires_in": 2592000,
        "refresh_expires_in": 5184000,
        "account_platform": "seller_center",
        "account": "seller@example.com",
        "country": "cb",
        "country_user_info": [
            {"country": c, "seller_id": "100171623", "user_id": "10017162", "short_code": f"{c}1"}
            for c in ("sg", "my", "vn")
        ],
        "code": "0",
        "request_id": "0ba2887315178178017221014",
    }
).encode()

Call = Callable[[], Awaitable[object]]


class Gateway(asyncio.Protocol):
    """Answers every request with the same token; parses no more than it must."""

    reply = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\n"
        b"Date: Fri, 21 Nov 2025 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%b"
    ) % (len(ANSWER), ANSWER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n")) >= 0:
            head = self.unread[:end].lower()
            _, _, length = head.partition(b"content-length:")
            size = end + 4 + int(length.split(b"\r\n", 1)[0] or 0)
            if len(self.unread) < size:
                return
            self.unread = self.unread[size:]
            self.transport.write(self.reply)

    @classmethod
    async def serve(cls) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(cls, "127.0.0.1", 0, backlog=4000)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


def encoded(gateway: iop.gateways.Iop) -> tuple[iop.Call, iop.HttpRequest]:
    call = iop.Call(API, PARAMS, access_token=TOKEN)
    return call, gateway.encode(APP, call, now=datetime.now(UTC))


@asynccontextmanager
async def through(
    door: type[iop.HttpxTransport | iop.FastTransport], gateway: iop.gateways.Iop, concurrency: int
) -> AsyncIterator[Call]:
    transport = door(max_connections=concurrency)
    async with transport, iop.Client(APP, gateway, transport=transport) as client:
        seller = client.as_seller(TOKEN)
        yield lambda: seller.call(API, PARAMS)


@asynccontextmanager
async def through_httpx(gateway: iop.gateways.Iop, limits: httpx.Limits) -> AsyncIterator[Call]:
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:

        async def call() -> iop.Reply:
            call, request = encoded(gateway)
            response = await client.post(
                request.url, content=_bytes(request), headers=dict(request.headers)
            )
            headers = dict(response.headers)
            return gateway.decode(
                call, iop.HttpResponse(response.status_code, headers, response.content)
            )

        yield call


@asynccontextmanager
async def stock_httpx(gateway: iop.gateways.Iop, concurrency: int) -> AsyncIterator[Call]:
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with through_httpx(gateway, limits) as call:
        yield call


@asynccontextmanager
async def default_httpx(gateway: iop.gateways.Iop, _concurrency: int) -> AsyncIterator[Call]:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=20)
    async with through_httpx(gateway, limits) as call:
        yield call


@asynccontextmanager
async def bare_post(gateway: iop.gateways.Iop, concurrency: int) -> AsyncIterator[Call]:
    _, request = encoded(gateway)
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        headers = dict(request.headers)

        async def call() -> bytes:
            async with session.post(request.url, data=_bytes(request), headers=headers) as response:
                return await response.read()

        yield call


@asynccontextmanager
async def signing_aiohttp(gateway: iop.gateways.Iop, concurrency: int) -> AsyncIterator[Call]:
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def call() -> iop.Reply:
            call, request = encoded(gateway)
            async with session.post(
                request.url, data=_bytes(request), headers=dict(request.headers)
            ) as response:
                content = await response.read()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return gateway.decode(call, iop.HttpResponse(response.status, headers, content))

        yield call


def _bytes(request: iop.HttpRequest) -> bytes:
    assert isinstance(request.body, bytes)
    return request.body


PEERS: dict[str, Callable[[iop.gateways.Iop, int], Any]] = {
    MEASURE: bare_post,
    FAST: partial(through, iop.FastTransport),
    "iop_async": partial(through, iop.HttpxTransport),
    "aiohttp": signing_aiohttp,
    "httpx": stock_httpx,
    "httpx, its default limits": default_httpx,
}

# How many calls make a measurement; stock httpx is so slow that few must do.
CALLS = {
    MEASURE: dict.fromkeys(CONCURRENCIES, 1500),
    FAST: dict.fromkeys(CONCURRENCIES, 1500),
    "iop_async": dict.fromkeys(CONCURRENCIES, 1500),
    "aiohttp": dict.fromkeys(CONCURRENCIES, 1500),
    "httpx": {1: 400, 20: 300, 100: 100, 500: 40},
    "httpx, its default limits": {20: 300, 100: 100},
}
ROUNDS = {("httpx", 500): 2}


async def measure(peer: str, gateway: iop.gateways.Iop, concurrency: int) -> float:
    """Microseconds of CPU a call, with ``concurrency`` calls under way all the time."""
    done = 0
    warm, enough = concurrency, concurrency + CALLS[peer][concurrency]
    started = finished = 0.0

    async def work(call: Call, finish: asyncio.Event) -> None:
        nonlocal done, started, finished
        while not finish.is_set():
            await call()
            done += 1
            if done == warm:
                started = time.process_time()
            elif done == enough:
                finished = time.process_time()
                finish.set()

    async with PEERS[peer](gateway, concurrency) as call, asyncio.TaskGroup() as tasks:
        finish = asyncio.Event()
        workers = [tasks.create_task(work(call, finish)) for _ in range(concurrency)]
        await finish.wait()
        for worker in workers:
            worker.cancel()
    return (finished - started) / (enough - warm) * 1e6


async def measure_all(gateway: iop.gateways.Iop, rounds: int) -> dict[tuple[str, int], list[float]]:
    results: dict[tuple[str, int], list[float]] = {}
    for number in range(rounds):
        for concurrency in CONCURRENCIES:
            for peer, calls in CALLS.items():
                if concurrency in calls and number < ROUNDS.get((peer, concurrency), rounds):
                    measured = await measure(peer, gateway, concurrency)
                    results.setdefault((peer, concurrency), []).append(measured)
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return results


def verdicts(medians: dict[tuple[str, int], float]) -> list[tuple[str, float, str, bool]]:
    mine = medians["iop_async", 100]
    against_httpx = medians["httpx", 100] / mine
    growth = mine / medians["iop_async", 1]
    fast = [
        (f"FastTransport / a bare POST, at {each} in flight", cost, "<= 1.0", cost <= 1.0)
        for each in CONCURRENCIES
        for cost in [medians[FAST, each] / medians[MEASURE, each]]
    ]
    return [
        *fast,
        ("stock httpx / iop_async, at 100 in flight", against_httpx, ">= 10", against_httpx >= 10),
        ("iop_async at 100 / at 1 in flight", growth, "<= 1.5", growth <= 1.5),
    ]


def show(results: dict[tuple[str, int], list[float]]) -> None:
    medians = {cell: statistics.median(values) for cell, values in results.items()}
    print(f"Python {platform.python_version()}, {date()}, " + ", ".join(libraries()))
    print(
        "CPU of the client a signed call: median us (min-max), and as a multiple of a bare POST\n"
    )
    width = max(map(len, PEERS))
    print(" " * width + "".join(f"{f'{c} in flight':>32}" for c in CONCURRENCIES))
    for peer in PEERS:
        cells = []
        for concurrency in CONCURRENCIES:
            values = results.get((peer, concurrency))
            text = ""
            if values:
                median = medians[peer, concurrency]
                ratio = median / medians[MEASURE, concurrency]
                text = f"{median:.0f} ({min(values):.0f}-{max(values):.0f})  x{ratio:.1f}"
            cells.append(f"{text:>32}")
        print(f"{peer:<{width}}" + "".join(cells))
    print()
    for name, value, bound, holds in verdicts(medians):
        print(f"{'PASS' if holds else 'FAIL'}  {name}: {value:.2f} ({bound})")


def libraries() -> list[str]:
    names = ("iop-async", "httpx", "httpcore", "anyio", "aiohttp", "httptools", "uvloop")
    return [f"{name} {version(name)}" for name in names]


def date() -> str:
    return datetime.now(UTC).date().isoformat()


def as_json(results: dict[tuple[str, int], list[float]]) -> str:
    cells = [
        {"peer": peer, "in_flight": c, "microseconds": [round(value, 1) for value in values]}
        for (peer, c), values in results.items()
    ]
    medians = {cell: statistics.median(values) for cell, values in results.items()}
    return json.dumps(
        {
            "python": platform.python_version(),
            "date": date(),
            "libraries": libraries(),
            "cells": cells,
            "verdicts": [
                {"what": name, "value": round(value, 3), "bound": bound, "holds": holds}
                for name, value, bound, holds in verdicts(medians)
            ],
        },
        indent=2,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--uvloop", action="store_true", help="the client runs on uvloop")
    parser.add_argument("--gateway", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gateway:
        asyncio.run(Gateway.serve())
        return
    run = importlib.import_module("uvloop").run if options.uvloop else asyncio.run
    command = [sys.executable, __file__, "--gateway"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        gateway = iop.gateways.Iop(f"http://127.0.0.1:{process.stdout.readline().strip()}")
        try:
            results = run(measure_all(gateway, options.rounds))
        finally:
            process.kill()
    if options.json:
        print(as_json(results))
    else:
        show(results)


if __name__ == "__main__":
    main()
