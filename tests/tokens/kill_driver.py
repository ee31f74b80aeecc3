"""Forks children that refresh until they are killed. Run with: url, database, seed.

Reads a line ``POINT HITS`` for each child, and answers ``dead`` when it is. A child kills itself
when it reaches the point for the so-manieth time; at ``random`` it is killed from outside.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from contextlib import suppress

import iop_async as iop
from iop_async.stores import SQLiteStore

POINTS = (
    "before-intent",
    "after-intent",
    "before-send",
    "after-answer",
    "before-pair",
    "after-pair",
)


class Fuse:
    """Kills the process at a point."""

    def __init__(self, point, hits):
        self.point, self.hits = point, hits

    def reach(self, point):
        if point == self.point:
            self.hits -= 1
            if self.hits <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class FusedStore:
    """A store with a fuse around every write."""

    def __init__(self, store, fuse):
        self._store, self._fuse = store, fuse
        self.path = store.path

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def put(self, record, *, release=None):
        kind = "intent" if json.loads(record.body)["intent"] else "pair"
        self._fuse.reach(f"before-{kind}")
        stored = await self._store.put(record, release=release)
        self._fuse.reach(f"after-{kind}")
        return stored


class FusedTransport:
    """A transport with a fuse around every exchange."""

    def __init__(self, fuse):
        self._transport, self._fuse = iop.HttpxTransport(), fuse

    async def send(self, request):
        self._fuse.reach("before-send")
        response = await self._transport.send(request)
        self._fuse.reach("after-answer")
        return response

    async def aclose(self):
        await self._transport.aclose()


async def refresh_until_killed(url, path, point, hits):
    fuse = Fuse(point, hits)
    app = iop.App("123456", "helloworld")
    client = iop.Client(app, iop.gateways.Iop(url), transport=FusedTransport(fuse))
    store = FusedStore(SQLiteStore(path), fuse)
    lease_seconds = 15.0 if point == "never" else 0.2  # for which the next one waits
    async with iop.TokenManager(
        client, store, keeper=False, concurrency=5, lease_seconds=lease_seconds, scope="kills"
    ) as tokens:
        os.write(1, b"ready\n")
        for _ in range(1000):
            sellers = [status.seller_id async for status in tokens.statuses()]
            report = await tokens.refresh_many(sellers)
            waiting = report.skipped.keys() | report.failed.keys()
            if len(waiting) == len(sellers) or point == "never":
                refreshed = await refresh_by_hand(tokens, waiting)
                if not refreshed or point == "never":
                    break


async def refresh_by_hand(tokens, seller_ids):
    """Without the waits between two probes; how many got a new pair."""
    refreshed = 0
    for seller_id in seller_ids:
        with suppress(iop.IopError):
            await tokens.refresh(seller_id)
            refreshed += 1
    return refreshed


def main(url, path, seed):
    chance = random.Random(seed)
    for line in sys.stdin:
        point, hits = line.split()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os.dup2(writer, 1)
            asyncio.run(refresh_until_killed(url, path, point, int(hits)))
            os._exit(0)
        os.close(writer)
        os.read(reader, 6)
        if point == "random":
            time.sleep(chance.random() * 0.08)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(reader)
        print("killed" if os.WIFSIGNALED(status) else f"ended {status}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
