"""A gateway in this process, and days that pass as fast as a machine can live through them.

Trio's clock jumps to the next moment at which somebody has something to do: what is measured by it
says nothing of the machine, and is the same on a busy one.
"""

from collections import Counter
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import anyio
import trio
import trio.testing

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, create_app
from iop_async.stores import MemoryStore

APP = iop.App("123456", "helloworld")
DAY = 86400
PATIENCE = 30.0
"""Seconds that the client waits for an answer."""


class VirtualClock:
    """Satisfies :class:`~iop_async.tokens.Clock` by the time of the running event loop."""

    _START = datetime(2026, 11, 27, tzinfo=UTC)

    def now(self):
        return self._START + timedelta(seconds=trio.current_time())

    def monotonic(self):
        return trio.current_time()

    async def sleep(self, seconds):
        await anyio.sleep(seconds)


class InProcess:
    """A transport to a sandbox without a network, whose failures are told as a network's are.

    Args:
        latency: seconds of every exchange.

    Attributes:
        presented: how often each refresh token was.
        sent_at: the moments of the refreshes, in seconds.
    """

    def __init__(self, sandbox, *, latency=0.05):
        self._app = create_app(sandbox)
        self._latency = latency
        self.presented = Counter()
        self.sent_at = []

    async def send(self, request):
        sent = []

        async def receive():
            return {"type": "http.request", "body": request.body}

        async def send(message):
            sent.append(message)

        for refresh_token in parse_qs(request.body.decode()).get("refresh_token", ()):
            self.presented[refresh_token] += 1
            self.sent_at.append(trio.current_time())
        where = urlsplit(request.url)
        scope = {
            "type": "http",
            "method": request.method,
            "path": where.path,
            "query_string": where.query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in request.headers.items()],
        }
        try:
            with anyio.fail_after(PATIENCE):
                await anyio.sleep(self._latency)
                await self._app(scope, receive, send)
        except TimeoutError as error:
            raise iop.TransportTimeout(f"no answer within {PATIENCE} s") from error
        except ConnectionAbortedError as error:
            raise iop.TransportError("the connection was reset") from error
        start, *bodies = sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        content = b"".join(message["body"] for message in bodies)
        return iop.HttpResponse(start["status"], headers, content)

    async def aclose(self):
        pass


def lived_through(scenario, *args, **options):
    """What a coroutine function returns, which is given a clock, in virtual time."""

    async def live():
        return await scenario(VirtualClock(), *args, **options)

    return trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))


def new_sandbox(clock, sellers):
    """A gateway whose refresh tokens serve once."""
    return Sandbox(
        apps=[SandboxApp(APP.key, APP.secret)],
        sellers=sellers,
        refresh_seconds=180 * DAY,
        now=clock.now,
    )


@asynccontextmanager
async def manager(clock, transport, **options):
    """A manager of a sandbox's sellers."""
    client = iop.Client(APP, iop.gateways.TAOBAO_GLOBAL, transport=transport, now=clock.now)
    store = MemoryStore(now=clock.now)
    async with client, iop.TokenManager(client, store, clock=clock, **options) as tokens:
        yield tokens


async def import_sellers(tokens, clock, sandbox, *, left):
    """Grants of all sellers; of an access token so many seconds are left, by its rank."""
    for rank, seller_id in enumerate(sandbox.sellers):
        pair, now = sandbox.grant(seller_id), clock.now()
        await tokens.import_token(
            iop.Token(
                access_token=pair["access_token"],
                refresh_token=pair["refresh_token"],
                issued_at=now - timedelta(days=29),
                expires_at=now + timedelta(seconds=left(rank)),
                refresh_expires_at=now + timedelta(days=150),
                sellers=(iop.Seller(seller_id=seller_id),),
            )
        )
