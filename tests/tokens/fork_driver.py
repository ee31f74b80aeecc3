"""A server that makes its manager before it forks its workers. Run with: url, database, role.

``explicit`` workers all refresh the one seller at once; ``keepers`` keep what is due; ``running``
forks in the middle of a refresh. The clock shows that the tokens end in ten minutes.
"""

import asyncio
import os
import sys

import anyio

import iop_async as iop
from iop_async.stores import SQLiteStore
from iop_async.testing._clock import MovableClock
from iop_async.testing._transport import FleetingTransport

MONTH = 30 * 86400
WORKERS = 3


class Server:
    """What the workers inherit."""

    def __init__(self, url, path, role):
        self.clock = MovableClock()
        self.clock.advance(MONTH - 600)
        self.store = SQLiteStore(path)
        client = iop.Client(
            iop.App("123456", "helloworld"),
            iop.gateways.Iop(url),
            transport=FleetingTransport(),
            now=self.clock.now,
        )
        self.tokens = iop.TokenManager(
            client,
            self.store,
            clock=self.clock,
            keeper=role == "keepers",
            lease_seconds=10,
            scope="forks",
        )

    async def look(self):
        """Use manager and store, so that there is something to inherit."""
        async with self.tokens:
            return [status.seller_id async for status in self.tokens.statuses()]


async def refresh(server):
    async with server.tokens as tokens:
        token = await tokens.refresh("1001")
        print(token.refresh_token, flush=True)
    await server.store.aclose()


async def keep(server):
    async with server.tokens as tokens:
        with anyio.fail_after(30):
            while {status.generation async for status in tokens.statuses()} != {2}:
                await anyio.sleep(0.02)
    await server.store.aclose()


def fork(work):
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:  # noqa: BLE001 - it is the parent that reports it
        os.write(2, repr(error).encode())
        os._exit(1)
    os._exit(0)


def join(children):
    for child in children:
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status):
            sys.exit(1)


async def fork_while_running(server):
    """The child has neither the flight nor the keeper, and may enter the manager anew."""
    async with server.tokens as tokens:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tokens.refresh, "1001")
            while not (await tokens.status("1001")).is_refreshing:
                await anyio.sleep(0.001)
            await anyio.sleep(0.1)
            child = fork(lambda: in_the_child(server))
            await anyio.to_thread.run_sync(join, [child])
        print((await tokens.token("1001")).refresh_token, flush=True)
    await server.store.aclose()


def in_the_child(server):
    asyncio.events._set_running_loop(None)

    async def main():
        try:
            await server.tokens.refresh("1001")
        except RuntimeError:
            await refresh(server)
        else:
            sys.exit("the child used what is its parent's")

    asyncio.run(main())


def main(url, path, role):
    server = Server(url, path, role)
    if role == "running":
        asyncio.run(fork_while_running(server))
        return
    asyncio.run(server.look()) if role == "explicit" else None
    work = refresh if role == "explicit" else keep
    join([fork(lambda: asyncio.run(work(server))) for _ in range(WORKERS)])


if __name__ == "__main__":
    main(*sys.argv[1:])
