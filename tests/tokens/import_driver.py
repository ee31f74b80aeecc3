"""Imports sellers, and says of which it was told that they are kept; to be killed meanwhile."""

import asyncio
import os
import sys
from datetime import UTC, datetime

from importing_helpers import held

import iop_async as iop
from iop_async.stores import SQLiteStore

NOW = datetime(2100, 1, 1, tzinfo=UTC)


def tell(progress):
    if progress.latest.verdict in ("imported", "unchanged"):
        os.write(1, f"{progress.latest.seller_id}\n".encode())


async def main(path, count):
    client = iop.Client(iop.App("123456"), iop.gateways.TAOBAO_GLOBAL, now=lambda: NOW)
    async with (
        client,
        SQLiteStore(path) as store,
        iop.TokenManager(client, store, keeper=False, scope="imports") as tokens,
    ):
        os.write(1, b"ready\n")
        await tokens.import_many((held(NOW, n) for n in range(count)), on_progress=tell)
        there = [status async for status in tokens.statuses()]
        os.write(1, f"{len(there)} are there\n".encode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
