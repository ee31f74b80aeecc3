"""One of the processes of ``hosts.py``: told of its job by a line of JSON, it says what it did.

It says ``ready``, waits to be told to go, and then says the seller of each record that is done.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import anyio
import stores
import tokens
from attrs import evolve, frozen
from shared_stores import StoreLocation

import iop_async as iop
from iop_async.protocols import TokenStore

AT_ONCE = 20


@frozen
class Job:
    """The task of a process. Each measurement is at a later moment, when all is due anew."""

    work: str
    shared: StoreLocation
    gateway: str
    begin: float
    number: int

    def moment(self, number: int) -> datetime:
        return datetime.fromtimestamp(self.begin, UTC) + timedelta(days=40 * number)

    @property
    def due(self) -> datetime:
        return self.moment(self.number)

    @property
    def later(self) -> datetime:
        return self.moment(self.number + 1)


class Clock(iop.tokens.SystemClock):
    """Shows a time at which nothing is due, until it is let go."""

    def __init__(self, due: datetime) -> None:
        super().__init__(self.tell)
        self._shown = due - timedelta(days=20)
        self._due = due
        self._since: float | None = None
        self._going = anyio.Event()
        self.awaited = anyio.Event()

    def tell(self) -> datetime:
        if self._since is None:
            return self._shown
        return self._due + timedelta(seconds=time.monotonic() - self._since)

    def go(self) -> None:
        self._since = time.monotonic()
        self._going.set()

    async def sleep(self, seconds: float) -> None:
        self.awaited.set()
        if self._since is None:
            await self._going.wait()  # the moment that was waited for is over then
        else:
            await super().sleep(seconds)


def say(lines: Iterable[str]) -> None:
    """In one write, because all processes share a pipe: it keeps one apart from another."""
    os.write(sys.stdout.fileno(), "".join(f"{line}\n" for line in lines).encode())


async def told() -> None:
    await anyio.to_thread.run_sync(sys.stdin.readline)


async def claim(store: TokenStore, job: Job) -> None:
    scope, holder = stores.SCOPE, uuid4().hex
    await store.next_due(scope)
    say(["ready"])
    await told()
    while claimed := await store.claim(
        scope, due_by=job.due, limit=AT_ONCE, holder=holder, seconds=60
    ):
        async with anyio.create_task_group() as tasks:
            for record in claimed:
                later = evolve(record, due_at=job.later)
                tasks.start_soon(partial(store.put, later, release=holder))
        say(record.seller_id for record in claimed)


async def refresh(store: TokenStore, job: Job) -> None:
    clock = Clock(job.due)
    transport = iop.HttpxTransport(max_connections=AT_ONCE)
    client = iop.Client(
        tokens.APP, iop.gateways.Iop(job.gateway), transport=transport, now=clock.now
    )
    manager = iop.TokenManager(client, store, concurrency=AT_ONCE, clock=clock, scope=tokens.SCOPE)

    async def listen(events: iop.tokens.EventStream) -> None:
        async for event in events:
            assert event.kind == "refreshed", event
            say([str(event.seller_id)])

    async with transport, anyio.create_task_group() as tasks, manager:
        tasks.start_soon(listen, manager.events())
        await clock.awaited.wait()
        say(["ready"])
        await told()
        clock.go()
        await told()


async def child() -> None:
    logging.getLogger("iop_async").setLevel(logging.ERROR)  # of a store without a journal, say
    given = json.loads(sys.stdin.readline())
    job = Job(**given | {"shared": StoreLocation(**given["shared"])})
    try:
        async with job.shared.store() as store:
            await {"claims": claim, "refreshes": refresh}[job.work](store, job)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the parent must hear of it
        say(["failed"])  # or the parent would wait
        error = exc
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    asyncio.run(child())
