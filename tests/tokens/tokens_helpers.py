"""Stores and transports that go wrong on demand."""

import json
from contextlib import asynccontextmanager

import anyio

import iop_async as iop

SHORT = 0.6
"""Seconds of a lease that ends."""

LEASE = 2.0
"""Seconds of a lease that does not end under a refresh, and whose end others can wait for."""


class WatchedStore:
    """A store whose writes of intents and outcomes somebody watches, delays or lets fail.

    Args:
        before, after: awaited around every write, with ``"intent"`` or ``"outcome"``.
    """

    def __init__(self, store, *, before=None, after=None):
        self._store = store
        self.path = getattr(store, "path", None)
        self.before, self.after = before, after
        self.written = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def put(self, record, *, release=None):
        kind = "intent" if json.loads(record.body).get("intent") else "outcome"
        if self.before is not None:
            await self.before(kind)
        stored = await self._store.put(record, release=release)
        self.written.append(kind)
        if self.after is not None:
            await self.after(kind)
        return stored


class LeasedOnce(WatchedStore):
    """A store that lends each seller to its holder, and lengthens nothing."""

    def __init__(self, store):
        super().__init__(store)
        self._lent = set()

    async def lease(self, scope, seller, *, holder, seconds):
        if seconds and seller in self._lent:
            return None
        self._lent.add(seller)
        return await self._store.lease(scope, seller, holder=holder, seconds=seconds)


class Outage:
    """A store of which some methods fail, as they do where its server cannot be reached.

    Args:
        fails: the names of those that fail now; ``failed`` are those that somebody met.
    """

    EVERYTHING = frozenset(
        {"get", "get_many", "put", "put_many", "remove", "claim", "lease", "next_due"}
    )

    def __init__(self, store, fails=frozenset()):
        self._store = store
        self.path = getattr(store, "path", None)
        self.fails = fails
        self.failed = set()

    def __getattr__(self, name):
        async def fail(*_, **__):
            self.failed.add(name)
            raise iop.StoreError("the server cannot be reached")

        return fail if name in self.fails else getattr(self._store, name)


def failing(times, *, kind="outcome"):
    """For a :class:`WatchedStore`: so many writes of a kind fail; how often they did."""

    async def fail(written):
        if written == kind and fail.times < times:
            fail.times += 1
            raise iop.StoreError("out of order")

    fail.times = 0
    return fail


class Between:
    """A transport in which somebody sits and answers what is about refreshing.

    Args:
        answer: given the way on; returns the answer that the client sees, or raises.
    """

    def __init__(self, answer):
        self._transport = iop.HttpxTransport()
        self.answer = answer

    async def send(self, request):
        async def go_on():
            return await self._transport.send(request)

        if self.answer is None or "/token/refresh" not in request.url:
            return await go_on()
        return await self.answer(go_on)

    async def aclose(self):
        await self._transport.aclose()


def hanging(*, consumed):
    """A transport whose refreshes get no answer, and the event that one has been begun.

    Args:
        consumed: the gateway gets them all the same.
    """
    presenting = anyio.Event()

    async def hang(go_on):
        if consumed:
            await go_on()
        presenting.set()
        await anyio.sleep_forever()

    return Between(hang), presenting


@asynccontextmanager
async def held():
    """A transport that keeps answers back until ``let_go`` is set; ``asked`` counts them."""

    async def answer(go_on):
        transport.asked += 1
        answered = await go_on()
        await transport.let_go.wait()
        return answered

    transport = Between(answer)
    transport.asked, transport.let_go = 0, anyio.Event()
    try:
        yield transport
    finally:
        await transport.aclose()


@asynccontextmanager
async def cut_off(scenario, answer):
    """A host that gets a lease, and cannot lengthen it once it presents a refresh token."""
    store = Outage(scenario.store())

    async def between(go_on):
        store.fails = {"lease"}
        try:
            return await answer(go_on)
        finally:
            store.fails = frozenset()

    transport = Between(between)
    client = scenario.client(transport=transport)
    async with scenario.manager(
        store, client=client, lease_seconds=SHORT, drain_seconds=0
    ) as tokens:
        yield tokens
    await transport.aclose()
