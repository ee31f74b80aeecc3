"""What child processes do with a database: ``sql_children.py URL PREFIX NAME``."""

import asyncio
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime

from attrs import evolve
from store_helpers import SCOPE, count_up

from iop_async import StaleRecord
from iop_async.stores._sqlalchemy import SQLAlchemyStore


async def work(url, prefix, name):
    """One of several processes: claims, and counts a shared record up."""
    claimed = []
    async with SQLAlchemyStore(url, table_prefix=prefix) as store:

        async def claim():
            while found := await store.claim(
                SCOPE, due_by=datetime.now(UTC), limit=3, holder=name, seconds=600
            ):
                claimed.extend(one.seller_id for one in found)

        async def raise_shared():
            raised = 0
            while raised < 25:
                kept = await store.get(SCOPE, "shared")
                body = f"{name}{raised}".encode()
                with suppress(StaleRecord):
                    await store.put(evolve(kept, generation=kept.generation + 1, body=body))
                    raised += 1

        own = count_up(store, f"own {name}", 25)
        await asyncio.gather(claim(), claim(), claim(), raise_shared(), own)
    sys.stdout.write(json.dumps(claimed))


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
