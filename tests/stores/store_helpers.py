"""What the tests of stores are written with, and what their child processes run."""

import sqlite3
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import anyio
from attrs import evolve

from iop_async._records import Record
from iop_async.stores import SQLiteStore

SCOPE = "123456@api.taobao.global"
BACKENDS = ("asyncio", "trio")
HERE = Path(__file__).parent


def record(seller="1001", *more, **facts):
    facts.setdefault("body", b"{}")
    return Record(
        scope=facts.pop("scope", SCOPE), seller_id=seller, seller_ids=(seller, *more), **facts
    )


def anything(_):
    return True


def whole(seller, generation):
    """A record whose body shows whether it is all there."""
    filler = f"{seller}/{generation}/".encode() * 200
    return record(seller, generation=generation, body=sha256(filler).digest() + filler)


def is_whole(kept):
    return kept.body == whole(kept.seller_id, kept.generation).body


def run(main, backend="asyncio"):
    async def bounded():
        with anyio.fail_after(60):
            return await main()

    return anyio.run(bounded, backend=backend)


def rows(path, statement, *values):
    """Look into the file behind the store's back, while no store has it open."""
    with closing(sqlite3.connect(path)) as db, db:
        return db.execute(statement, values).fetchall()


async def filled(path, count=3, **facts):
    """A closed store with a few records, as they are stored."""
    async with SQLiteStore(path) as store:
        return [await store.put(record(f"{n}", **facts)) for n in range(count)]


async def count_up(store, seller, times, said=None):
    """Write a record again and again; say what was acknowledged."""
    kept = await store.get(SCOPE, seller) or await store.put(whole(seller, 1))
    for _ in range(times):
        change = whole(seller, kept.generation + 1)
        kept = await store.put(evolve(change, revision=kept.revision))
        if said is not None:
            said(f"{seller} {kept.generation}\n".encode())


def child(role, *arguments):
    """The command line of a child process: a function of ``store_children`` and its arguments."""
    return [sys.executable, str(HERE / "store_children.py"), role, *map(str, arguments)]
