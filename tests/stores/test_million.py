"""A million sellers in each store that hosts share: what filling, claiming and reading cost,
and importing them into a manager, which then says how each of them is.

With a million it runs by ``IOP_ASYNC_MILLION=1`` alone, half an hour for all stores.
"""

import gc
import os
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import pytest
from attrs import frozen
from importing_helpers import counts, held
from network import Network
from services import require
from store_helpers import SCOPE, record
from store_kinds import SHARED, STORES, StoreLocation

import iop_async as iop
from iop_async.stores._sqlite import _sessions

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
BODY = b"x" * 400
BATCH = 1_000
ROUNDS = 9


@frozen
class Size:
    """So many records, and the numbers of due ones among which a claim should cost the same."""

    records: int
    few_due: int
    many_due: int


SMALL = Size(10_000, few_due=500, many_due=5_000)
MILLION = Size(1_000_000, few_due=500, many_due=200_000)

pytestmark = pytest.mark.drill


@pytest.fixture(params=SHARED)
async def location(request, tmp_path):
    kind = STORES[request.param]
    url = require(kind.url) if kind.own_server else kind.url.format(directory=tmp_path)
    location = StoreLocation(request.param, url)
    async with location.provisioned():
        yield location


async def test_a_claim_costs_the_same_however_many_are_due(location, show):
    """In round trips to a server, or in steps of SQLite's machine."""
    show("\n".join(await measure(location, SMALL)))


@pytest.mark.alone
@pytest.mark.timeout(3_600)
@pytest.mark.skipif(
    "IOP_ASYNC_MILLION" not in os.environ,
    reason="a million records in each store: minutes, and gigabytes; IOP_ASYNC_MILLION=1 runs it",
)
async def test_a_million_sellers(location, show):
    """The same among a million, and how long it takes."""
    show("\n".join(await measure(location, MILLION)))


async def measure(location, size):
    """Fill a store, look at it, and empty it; lines that say what that took."""
    store = location.store()
    begun = time.perf_counter()
    await fill(store, size.records)
    filled = time.perf_counter()
    few, many = [await seconds_of_a_claim(store, due) for due in (size.few_due, size.many_due)]
    assert await store.next_due(SCOPE) == START
    reading = time.perf_counter()
    assert len({one.seller_id async for one in store.records(SCOPE)}) == size.records
    read = time.perf_counter()
    await store.aclose()
    async with counting(location) as (store, count):
        counts = [await cost_of_a_claim(store, count, n) for n in (size.few_due, size.many_due)]
        await store.aclose()
    assert counts[1] <= 1.1 * counts[0], counts
    of_few, of_many = f"{size.few_due:,} due", f"{size.many_due:,} due"
    return [
        f"filled with {size.records:,} records: {size.records / (filled - begun):,.0f} a second",
        f"claim of 20, {of_few}: {few * 1e3:.1f} ms; {of_many}: {many * 1e3:.1f} ms",
        f"its steps or round trips, {of_few}: {counts[0]:,}; {of_many}: {counts[1]:,}",
        f"records(): {size.records / (read - reading):,.0f} a second",
        *await import_and_look(location, size.records),
        f"memory of this process: {resident_megabytes():,.0f} MB",
    ]


async def import_and_look(location, count):
    """Import as many sellers into a scope of their own, twice, and ask how all of them are."""
    now = datetime.now(UTC)
    rates = []

    async def timed(wanted, work):
        begun, used = time.perf_counter(), time.process_time()
        assert await work == wanted
        seconds, used = time.perf_counter() - begun, time.process_time() - used
        rates.append(
            f"{count / seconds:,.0f} a second, {used / count * 1e6:,.0f} ms CPU a thousand"
        )

    gateway = iop.gateways.Iop("http://127.0.0.1:9")
    async with (
        location.store() as store,
        iop.Client(iop.App("1", "2"), gateway) as client,
        iop.TokenManager(client, store, keeper=False, scope="imported") as tokens,
    ):
        for verdict in ("imported", "unchanged"):
            given = (held(now, number) for number in range(count))
            await timed({verdict: count}, counts_of(tokens.import_many(given)))
        await timed(count, number_of(tokens.statuses()))
    return [
        f"import_many() of new sellers: {rates[0]}",
        f"import_many() of known ones: {rates[1]}",
        f"statuses(): {rates[2]}",
    ]


async def counts_of(work):
    return counts(await work)


async def number_of(things):
    number = 0
    async for _ in things:
        number += 1
    return number


async def fill(store, count):
    for first in range(0, count, BATCH):
        some = [a_record(n) for n in range(first, min(first + BATCH, count))]
        assert [one.revision for one in await store.put_many(some)] == [1] * len(some)


def a_record(n):
    """The n-th to fall due; what falls due later does not die later."""
    dies_at = START + timedelta(days=30, seconds=n * 7_919 % 999_983)
    return record(f"{n}", due_at=START + n * SECOND, dies_at=dies_at, body=BODY)


async def claim(store, due):
    """Claim twenty where so many are due."""
    due_by = START + (due - 1) * SECOND
    claimed = await store.claim(SCOPE, due_by=due_by, limit=20, holder="a", seconds=60)
    assert len(claimed) == 20
    assert claimed == sorted(claimed, key=lambda one: one.dies_at)
    return claimed


async def give_back(store, claimed):
    for one in claimed:
        await store.lease(SCOPE, one.seller_id, holder="a", seconds=0)


async def seconds_of_a_claim(store, due):
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        claimed = await claim(store, due)
        times.append(time.perf_counter() - begun)
        await give_back(store, claimed)
    return median(times)


async def cost_of_a_claim(store, count, due):
    costs = []
    for _ in range(ROUNDS):
        before = count()
        claimed = await claim(store, due)
        costs.append(count() - before)
        await give_back(store, claimed)
    return median(costs)


@asynccontextmanager
async def counting(location):
    """One more store, and what counts the steps that it takes."""
    if STORES[location.kind].own_server is None:
        with pytest.MonkeyPatch.context() as patch:
            yield location.store(), count_steps(patch)
        return
    port = urlsplit(location.url).port
    with Network(port) as network:
        url = location.url.replace(f":{port}/", f":{network.port}/")
        yield StoreLocation(location.kind, url, location.prefix).store(), lambda: network.sendings


def count_steps(patch):
    steps = [0]
    connect = _sessions._file.connect

    def step():
        steps[0] += 1

    def counted(path, options):
        db = connect(path, options)
        db.set_progress_handler(step, 1)
        return db

    patch.setattr(_sessions._file, "connect", counted)
    return lambda: steps[0]


def resident_megabytes():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
