"""The work that ``counts.py`` counts, and the process that does it and counts.

Of the package it uses public names alone, since it also runs with the package as it was in another
commit.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sqlite3
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import iop_async as iop
from iop_async.stores import SQLiteStore

WARM_UP, COUNTED = 40, 100
APP = iop.App("12345678", "helloworld")
ACCESS_TOKEN = "5000" + "0123456789abcdef" * 3
PARAMS = {"item_id": 652874751412, "fields": ["title", "price", "skus"], "locale": "zh_CN"}

Work = Callable[[int], Awaitable[None]]
Opening = Callable[[str], AbstractAsyncContextManager[Work]]


@asynccontextmanager
async def calling(
    door: type[iop.HttpxTransport | iop.FastTransport], in_flight: int, url: str
) -> AsyncIterator[Work]:
    """Signed calls, so many of them at a time."""
    transport = door(max_connections=in_flight)
    async with transport, iop.Client(APP, iop.gateways.Iop(url), transport=transport) as client:
        seller = client.as_seller(ACCESS_TOKEN)

        async def call(times: int) -> None:
            waiting = iter(range(times))

            async def call_some() -> None:
                for _ in waiting:
                    await seller.call("/product/get", PARAMS)

            await asyncio.gather(*[call_some() for _ in range(in_flight)])

        yield call


@asynccontextmanager
async def refreshing(url: str) -> AsyncIterator[Work]:
    """Refreshes, one after the other: two at once may share a commit, or may not."""
    sellers = [str(number) for number in range(WARM_UP + COUNTED)]
    with tempfile.TemporaryDirectory() as folder:
        store = SQLiteStore(Path(folder) / "tokens.db")
        client = iop.Client(APP, iop.gateways.Iop(url))
        # No lease is renewed meanwhile, however slowly valgrind goes.
        manager = iop.TokenManager(client, store, keeper=False, lease_seconds=3600)
        async with store, client, manager as tokens:
            report = await tokens.import_many(map(token, sellers))
            assert report.imported == len(sellers), report
            waiting = iter(sellers)

            async def refresh(times: int) -> None:
                for seller_id in islice(waiting, times):
                    await tokens.refresh(seller_id)

            yield refresh


def token(seller_id: str) -> iop.Token:
    now = datetime.now(UTC)
    return iop.Token(
        access_token=f"50000600{seller_id:>048}",
        refresh_token=f"50001600{seller_id:>048}",
        issued_at=now - timedelta(days=1),
        expires_at=now + timedelta(days=29),
        refresh_expires_at=now + timedelta(days=150),
        sellers=(iop.Seller("sg", seller_id, seller_id, f"SG{seller_id}"),),
    )


WORK: dict[str, Opening] = {
    "call, default transport, 1 in flight": partial(calling, iop.HttpxTransport, 1),
    "call, default transport, 20 in flight": partial(calling, iop.HttpxTransport, 20),
    "call, FastTransport, 1 in flight": partial(calling, iop.FastTransport, 1),
    "call, FastTransport, 20 in flight": partial(calling, iop.FastTransport, 20),
    "durable refresh, SQLite": refreshing,
}


class Profiler:
    """Counts the calls of functions, Python's and C's, in all threads; and SQLite's statements."""

    def __init__(self) -> None:
        self.calls = 0
        self.statements: list[str] = []
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        self._connect = sqlite3.connect
        sqlite3.connect = self._traced  # type: ignore[assignment]

    def mark(self) -> dict[str, int]:
        commits = sum(statement.upper() == "COMMIT" for statement in self.statements)
        return {"calls": self.calls, "statements": len(self.statements), "commits": commits}

    def _on_event(self, _frame: object, event: str, _argument: object) -> None:
        if event in ("call", "c_call"):
            self.calls += 1

    def _traced(self, *args: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = self._connect(*args, **named)
        connection.set_trace_callback(self.statements.append)  # no event for the profiler
        return connection


class Callgrind:
    """Marks that ``--dump-before=getpgrp`` sees; the counts are then in valgrind's files."""

    def mark(self) -> dict[str, int]:
        os.getpgrp()
        return {}


async def count(url: str, meter: Profiler | Callgrind) -> dict[str, dict[str, float]]:
    """What each work costs once; nothing where valgrind counts."""
    counts = {}
    for name, opening in WORK.items():
        async with opening(url) as work:
            await work(WARM_UP)
            # Or one of the commits that are compared may collect a time more than the other.
            gc.collect()
            gc.freeze()
            before = meter.mark()
            await work(COUNTED)
            after = meter.mark()
        counts[name] = {what: (after[what] - before[what]) / COUNTED for what in after}
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--under-valgrind", action="store_true")
    options = parser.parse_args()
    meter = Callgrind() if options.under_valgrind else Profiler()
    counts = asyncio.run(count(options.url, meter))
    sys.setprofile(None)
    print(json.dumps({"package": iop.__file__, "counts": counts}))


if __name__ == "__main__":
    main()
