"""The clients that ``calls.py`` compares: each opens, and gives a function that makes one call.

Nothing is imported before it is measured: a process has one peer, and taobaopyx an httpx of its
own. A bare POST is ready before the clock starts and comes back as bytes; a signed call is encoded,
signed, sent and decoded each time.
"""

from __future__ import annotations

import asyncio
import importlib.util
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _gateway import TOKEN

if TYPE_CHECKING:
    import iop_async as iop

API = "/product/get"
PARAMS = {"item_id": 652874751412, "fields": ["title", "price", "skus"], "locale": "zh_CN"}
TEXTS = {"item_id": "652874751412", "fields": '["title","price","skus"]', "locale": "zh_CN"}
KEY, SECRET = "12345678", "helloworld"
PATIENCE = 60  # seconds; what is queued behind 2,000 others waits for them
TAOBAOPYX = Path(__file__).parents[1] / "build" / "taobaopyx"
"""Where the only peer is that cannot live beside the others."""

IN_FLIGHT = (1, 20, 100, 500, 2000)
MANY = {1: 1500, 20: 1500, 100: 1500, 500: 2000, 2000: 4000}


@dataclass(frozen=True)
class Peer:
    """A client, and what is measured of it.

    Attributes:
        opens: given a URL and how many calls will be in flight, gives the function that calls.
        needs: the module without which it is left out.
        signs: a call is a whole signed one, and not a bare POST.
        calls: how many make a measurement, by how many are in flight.
        threads: more calls in flight than these wait for a thread; 0 for what is asynchronous.
        once: with so many in flight it takes so long that one round of one setting must do.
        path: of modules of its own.
    """

    opens: Callable[[str, int], Any]
    needs: str
    signs: bool = False
    calls: Mapping[int, int] = field(default_factory=lambda: MANY)
    threads: int = 0
    once: frozenset[int] = frozenset()
    path: Path | None = None

    def is_installed(self) -> bool:
        if self.path is not None:
            return self.path.is_dir()
        return importlib.util.find_spec(self.needs) is not None


def ready(url: str) -> tuple[Any, Any, iop.HttpRequest]:
    """A gateway, a call, and the request that it makes."""
    import iop_async as iop

    gateway = iop.gateways.Iop(url)
    call = iop.Call(API, PARAMS, access_token=TOKEN)
    return gateway, call, gateway.encode(iop.App(KEY, SECRET), call, now=datetime.now(UTC))


@asynccontextmanager
async def iop_async(door: str, url: str, in_flight: int) -> AsyncIterator[Any]:
    import iop_async as iop

    timeouts = iop.Timeouts(connect=PATIENCE, read=PATIENCE, pool=PATIENCE, total=2 * PATIENCE)
    transport = getattr(iop, door)(max_connections=in_flight, timeouts=timeouts)
    app, gateway = iop.App(KEY, SECRET), iop.gateways.Iop(url)
    async with transport, iop.Client(app, gateway, transport=transport) as client:
        seller = client.as_seller(TOKEN)
        yield lambda: seller.call(API, PARAMS)


@asynccontextmanager
async def aiohttp_session(in_flight: int) -> AsyncIterator[Any]:
    import aiohttp

    tls = ssl.create_default_context()
    connector = aiohttp.TCPConnector(limit=in_flight, ssl=tls)
    timeout = aiohttp.ClientTimeout(total=2 * PATIENCE, sock_connect=PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


@asynccontextmanager
async def bare_aiohttp(url: str, in_flight: int) -> AsyncIterator[Any]:
    _, _, request = ready(url)
    headers, body = dict(request.headers), request.body
    async with aiohttp_session(in_flight) as session:

        async def call() -> object:
            async with session.post(request.url, data=body, headers=headers) as response:
                return await response.read()

        yield call


@asynccontextmanager
async def signing_aiohttp(url: str, in_flight: int) -> AsyncIterator[Any]:
    import iop_async as iop

    gateway, wanted, _ = ready(url)
    app = iop.App(KEY, SECRET)
    async with aiohttp_session(in_flight) as session:

        async def call() -> object:
            request = gateway.encode(app, wanted, now=datetime.now(UTC))
            async with session.post(
                request.url, data=request.body, headers=dict(request.headers)
            ) as response:
                content = await response.read()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return gateway.decode(wanted, iop.HttpResponse(response.status, headers, content))

        yield call


@asynccontextmanager
async def bare_httpx(module: str, url: str, in_flight: int) -> AsyncIterator[Any]:
    httpx: Any = import_module(module)
    _, _, request = ready(url)
    headers, body = dict(request.headers), request.body
    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    async with httpx.AsyncClient(limits=limits, timeout=PATIENCE) as client:

        async def call() -> object:
            return (await client.post(request.url, content=body, headers=headers)).content

        yield call


def trusted() -> bytes:
    """What the others find by ``SSL_CERT_FILE``."""
    return Path(ssl.get_default_verify_paths().cafile or "").read_bytes()


@asynccontextmanager
async def bare_pyreqwest(url: str, in_flight: int) -> AsyncIterator[Any]:
    pyreqwest: Any = import_module("pyreqwest.client")
    _, _, request = ready(url)
    headers, body = dict(request.headers), request.body
    builder = pyreqwest.ClientBuilder().max_connections(in_flight)
    if url.startswith("https:"):
        builder = builder.add_root_certificate_pem(trusted())
    async with builder.build() as client:

        async def call() -> object:
            post = client.post(request.url).headers(headers).body_bytes(body).build()
            return await (await post.send()).bytes()

        yield call


class Connection(asyncio.Protocol):
    """The floor: a request is written, and httptools says when its answer is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def post(self, wire: bytes, parser: Any) -> asyncio.Future[bytes]:
        self.parser, self.parts = parser(self), list[bytes]()
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(wire)
        return self.answer

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        if not self.answer.done():  # cancelled, when enough was measured
            self.answer.set_result(b"".join(self.parts))


@asynccontextmanager
async def bare_protocol(url: str, _in_flight: int) -> AsyncIterator[Any]:
    from urllib.parse import urlsplit

    import httptools

    _, _, request = ready(url)
    assert isinstance(request.body, bytes)
    parts: Any = urlsplit(request.url)
    loop = asyncio.get_running_loop()
    head = {**request.headers, "host": parts.netloc, "content-length": str(len(request.body))}
    lines = [f"POST {parts.path} HTTP/1.1", *(f"{name}: {text}" for name, text in head.items())]
    wire = "\r\n".join([*lines, "", ""]).encode() + request.body
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    idle: list[Connection] = []
    opened: list[Connection] = []

    async def call() -> bytes:
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(
                Connection, parts.hostname, parts.port, ssl=tls
            )
            opened.append(connection)
        answer = await connection.post(wire, httptools.HttpResponseParser)
        idle.append(connection)
        return answer

    yield call
    for connection in opened:
        connection.transport.abort()


@asynccontextmanager
async def lazop_sdk(url: str, _in_flight: int) -> AsyncIterator[Any]:
    lazop: Any = import_module("lazop_sdk")
    client = lazop.LazopClient(url, KEY, SECRET)

    def call() -> object:
        request = lazop.LazopRequest(API)
        for name, value in TEXTS.items():
            request.add_api_param(name, value)
        return client.execute(request, TOKEN)

    yield call


@asynccontextmanager
async def taobaopyx(url: str, _in_flight: int) -> AsyncIterator[Any]:
    top: Any = import_module("taobaopyx.taobao")
    client = top.AsyncTaobaoAPIClient(app_key=KEY, app_secret=SECRET, domain=url)
    product = top.APINode(client, "taobao").product
    try:
        yield lambda: product.get(**TEXTS, session=TOKEN)
    finally:
        await client.aclose()


MEASURE = "aiohttp"
FAST, DEFAULT = "iop_async, FastTransport", "iop_async, HttpxTransport"
SDK = "lazop-sdk, 40 threads"

PEERS: dict[str, Peer] = {
    MEASURE: Peer(bare_aiohttp, "aiohttp"),
    FAST: Peer(partial(iop_async, "FastTransport"), "httptools", signs=True),
    DEFAULT: Peer(partial(iop_async, "HttpxTransport"), "httpcore", signs=True),
    "aiohttp, signing": Peer(signing_aiohttp, "aiohttp", signs=True),
    "asyncio.Protocol": Peer(bare_protocol, "httptools"),
    "pyreqwest": Peer(bare_pyreqwest, "pyreqwest"),
    "httpx": Peer(
        partial(bare_httpx, "httpx"),
        "httpx",
        calls={1: 400, 20: 300, 100: 100, 500: 40},
        once=frozenset({500}),
    ),
    "httpx2": Peer(
        partial(bare_httpx, "httpx2"),
        "httpx2",
        calls={1: 600, 20: 400, 100: 200, 500: 100},
        once=frozenset({500}),
    ),
    SDK: Peer(
        lazop_sdk, "lazop_sdk", signs=True, calls=dict.fromkeys(IN_FLIGHT[:-1], 200), threads=40
    ),
    "taobaopyx": Peer(
        taobaopyx,
        "taobaopyx",
        signs=True,
        calls={1: 200, 20: 200, 100: 200},  # with more, its five seconds for a connection run out
        path=TAOBAOPYX,
    ),
}
