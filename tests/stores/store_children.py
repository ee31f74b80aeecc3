"""What child processes do: ``store_children.py ROLE ARGUMENT...``."""

import asyncio
import json
import os
import random
import signal
import sys
import time
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from attrs import evolve
from store_helpers import SCOPE, anything, count_up, is_whole, record, whole

from iop_async import StaleRecord, StoreError
from iop_async.stores import SpillJournal, SQLiteStore


def store_at(where):
    """A store on a Redis server, if that is what is named; otherwise in a file."""
    if not where.startswith("redis://"):
        return SQLiteStore(where)
    from iop_async.stores._redis import RedisStore

    return RedisStore(where)


def answer(value):
    sys.stdout.write(json.dumps(value))


async def work(path, name):
    """One of several processes: claims, and counts a shared record up."""
    claimed, raised = [], 0
    async with store_at(path) as store:

        async def claim():
            while found := await store.claim(
                SCOPE, due_by=datetime.now(UTC), limit=3, holder=name, seconds=600
            ):
                claimed.extend(one.seller_id for one in found)

        async def raise_shared():
            nonlocal raised
            while raised < 25:
                kept = await store.get(SCOPE, "shared")
                with suppress(StaleRecord):
                    await store.put(
                        evolve(
                            kept, generation=kept.generation + 1, body=f"{name}{raised}".encode()
                        )
                    )
                    raised += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(claim)
            tasks.start_soon(raise_shared)
            tasks.start_soon(count_up, store, f"own {name}", 25)
    answer(claimed)


def killed(path, times):
    """Kill a writing process again and again, and look at what it left behind."""
    sellers = [f"{n}" for n in range(8)]
    acknowledged = dict.fromkeys(sellers, 0)
    for _ in range(int(times)):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            asyncio.run(_write_for_ever(path, sellers, partial(os.write, writing)))
        os.close(writing)
        said, enough = b"", random.randint(1, 40)
        # Counted in writes, since a busy machine makes few in a given time.
        while said.count(b"\n") < enough and (more := os.read(reading, 64)):
            said += more
        time.sleep(random.uniform(0, 0.004))  # to be anywhere in the next one
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 65536):
            said += more
        os.close(reading)
        for line in said.decode().splitlines():
            seller, generation = line.split()
            acknowledged[seller] = int(generation)
        asyncio.run(_inspect(path, acknowledged))
    answer(acknowledged)


async def _write_for_ever(path, sellers, said):
    async with store_at(path) as store, anyio.create_task_group() as tasks:
        for seller in sellers:
            tasks.start_soon(count_up, store, seller, 10**9, said)


async def _inspect(path, acknowledged):
    async with store_at(path) as store:
        kept = {one.seller_id: one async for one in store.records(SCOPE)}
    assert all(map(is_whole, kept.values()))
    for seller, generation in acknowledged.items():
        found = kept[seller].generation if seller in kept else 0
        assert found >= generation, (seller, generation, found)


def killed_at_birth(path, times):
    """Kill a process while it makes a store; the next one must find none, or a whole one."""
    found = []
    for n in range(int(times)):
        made = f"{path}-{n}"
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, b"!")
            asyncio.run(_write_for_ever(made, ["1"], str))
        os.read(reading, 1)
        time.sleep(random.uniform(0, 0.012))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found.append(Path(made).exists())
        asyncio.run(_inspect(made, {}))
    answer(found)


def forked(path):
    """Fork a process that uses a store, and use it in both."""
    warnings.simplefilter("ignore", DeprecationWarning)  # about threads, which are let go of first
    store = SQLiteStore(path)
    asyncio.run(_put_and_get(store, "before"))
    parent_reads, child_writes = os.pipe()
    child_reads, parent_writes = os.pipe()
    child = os.fork()
    if not child:
        asyncio.run(_put_and_get(store, "child"))
        os.write(child_writes, b"!")
        os.read(child_reads, 1)
        asyncio.run(_put_and_get(store, "child, after the parent closed"))
        asyncio.run(store.aclose())
        sys.exit(0)
    asyncio.run(_put_and_get(store, "parent"))
    os.read(parent_reads, 1)
    asyncio.run(store.aclose())
    os.write(parent_writes, b"!")
    _, status = os.waitpid(child, 0)
    answer(os.waitstatus_to_exitcode(status))


async def _put_and_get(store, seller):
    written = await store.put(record(seller))
    assert await store.get(SCOPE, seller) == written


def forked_silently(path):
    """Fork without the hooks of Python, as an embedding server does."""
    store = SQLiteStore(path)
    asyncio.run(_put_and_get(store, "before"))
    # what such a server leaves behind: another process, the same memory
    store._writer._process = -1
    try:
        asyncio.run(_put_and_get(store, "child"))
    except StoreError as error:
        answer(str(error))


async def small_disk(path):
    """Write until the file may not grow any more."""
    import resource

    async with store_at(path) as store:
        first = await store.put(whole("first", 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        kept = []
        said = ""
        while not said:
            try:
                kept.append(await store.put(whole(f"{len(kept)}", 1)))
            except StoreError as error:
                said = str(error)
        assert await store.get(SCOPE, "first") == first
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await store.put(whole("afterwards", 1))
        found = {one.seller_id async for one in store.records(SCOPE)}
    assert found == {"first", "afterwards", *(one.seller_id for one in kept)}
    answer(said)


async def not_permitted(path, user):
    """Be another user, who may read the file and no more."""
    await anyio.to_thread.run_sync(int)  # what is imported late may lie where that user cannot look
    os.setuid(int(user))
    store = SQLiteStore(path)
    said = []
    for attempt in (store.check(SCOPE), store.put(record("new")), store.remove(SCOPE, "0")):
        try:
            await attempt
        except StoreError as error:
            said.append(str(error))
    await store.aclose()
    answer(said)


async def spill(path, name, count):
    """Append to a journal that others append to."""
    journal = SpillJournal(path)
    for n in range(int(count)):
        await journal.append(record(f"{name}-{n}"))
        if n % 10 == 9:
            await journal.remove(SCOPE, {f"{name}-{n - 5}": anything})


def spill_killed(path, times):
    """Kill a process that appends to a journal and rewrites it."""
    acknowledged = set()
    for _ in range(int(times)):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            asyncio.run(_spill_for_ever(path, partial(os.write, writing)))
        os.close(writing)
        said = os.read(reading, 64)
        time.sleep(random.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(reading, 65536):
            said += more
        os.close(reading)
        acknowledged |= {line for line in said.decode().split("\n") if line}
        kept = {one.seller_id for one in asyncio.run(SpillJournal(path).records())}
        assert acknowledged - kept <= {"gone"}, acknowledged - kept
    answer(len(acknowledged))


async def _spill_for_ever(path, said):
    journal = SpillJournal(path)
    name = os.getpid()
    n = 0
    while True:
        await journal.append(record(f"{name}-{n}", body=b"x" * 3000))
        said(f"{name}-{n}\n".encode())
        if n % 3 == 0:
            await journal.append(record("gone"))
            await journal.remove(SCOPE, {"gone": anything})
        n += 1


if __name__ == "__main__":
    role = globals()[sys.argv[1]]
    if asyncio.iscoroutinefunction(role):
        asyncio.run(role(*sys.argv[2:]))
    else:
        role(*sys.argv[2:])
