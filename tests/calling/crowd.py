"""A crowd that calls through an outage, in virtual time: nothing in it depends on the machine.

Trio's clock jumps to the next moment at which somebody has something to do. What a request costs
the machine of the callers is said, and not measured.
"""

import json
import random
from copy import copy
from datetime import UTC, datetime, timedelta
from unittest import mock

import anyio
import trio
import trio.testing
from attrs import define, field

import iop_async as iop
from iop_async import _clock

APP = iop.App("k", "s")
PAUSE = 1.5
"""Seconds at most before a caller that got an error calls again."""


@define
class Machine:
    """A transport to a gateway that refuses everything at first.

    Args:
        refusal: what it answers until then, or what comes of the connection.
        outage: seconds from the beginning on.
        cost: seconds of a CPU that one request takes; the machine has one.
        latency: seconds until an answer is there.

    Attributes:
        refused: how many requests were.
    """

    refusal: iop.HttpResponse | iop.TransportError
    outage: float
    cost: float
    latency: float = 0.02
    refused: int = 0
    _cpu: anyio.Lock = field(factory=lambda: anyio.Lock(fast_acquire=True))

    async def send(self, request):
        async with self._cpu:
            await anyio.sleep(self.cost)
        is_refused = trio.current_time() < self.outage
        await anyio.sleep(self.latency)
        if is_refused:
            self.refused += 1
            if isinstance(self.refusal, Exception):
                raise copy(self.refusal)
            return self.refusal
        return iop.HttpResponse(200, {}, json.dumps({"code": "0", "data": {}}).encode())

    async def aclose(self):
        pass


@define
class Crowd:
    """What became of the callers.

    Attributes:
        calls: those made during the outage.
        recovered: seconds from its end until each caller had an answer, sorted.
    """

    refused: int
    calls: int
    recovered: list[float]


def in_virtual_time(scenario):
    """What a coroutine function returns."""
    with mock.patch.object(_clock, "_monotonic", trio.current_time):
        return trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))


class Callers:
    """Each asks until it has its answer, with a second or so between two calls.

    Attributes:
        asked, answered: when, by the clock of the event loop.
    """

    def __init__(self, chance):
        self._chance = chance
        self.asked, self.answered = [], []

    async def keep_asking(self, client, api):
        await anyio.sleep(self._chance.uniform(0, 2))
        while True:
            self.asked.append(anyio.current_time())
            try:
                await client.call(api)
                break
            except iop.IopError:
                await anyio.sleep(self._chance.uniform(0.5, PAUSE))
        self.answered.append(anyio.current_time())


def live_through(callers, machine, *, seed, api="/order/get", **options):
    """What so many callers meet, by numbers that a seed brings again."""
    crowd = Callers(random.Random(seed))

    def now():
        return datetime(2026, 11, 27, tzinfo=UTC) + timedelta(seconds=trio.current_time())

    async def live():
        client = iop.Client(
            APP, iop.gateways.TAOBAO_GLOBAL, transport=machine(), now=now, **options
        )
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(crowd.keep_asking, client, api)
        return client._transport

    gateway = in_virtual_time(live)
    ends = gateway.outage
    return Crowd(
        gateway.refused,
        sum(moment < ends for moment in crowd.asked),
        sorted(max(moment - ends, 0.0) for moment in crowd.answered),
    )
