"""A host: a process with a token manager, whose keeper shares a store with those of others.

Run as a program it forks hosts: a line of JSON with the settings of one is answered with its
process id, and a process id with how that one ended.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs

import aiomysql
import asyncpg
import redis.asyncio
import sqlalchemy.ext.asyncio
from notes import Notes, digest, tokens_of

import iop_async as iop
from iop_async.stores import from_url

APP = iop.App("123456", "helloworld")
SCOPE = "hosts"

LOADED = (aiomysql, asyncpg, redis.asyncio, sqlalchemy.ext.asyncio)
"""Imported once, before the forks, and not by each."""


class NotingStore:
    """A store whose writes are noted, when they begin and when they are acknowledged."""

    def __init__(self, store, notes):
        self._store, self._notes = store, notes

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def get(self, scope, seller):
        self._notes.add("looking", seller=seller)
        return await self._store.get(scope, seller)

    async def put(self, record, *, release=None):
        facts = {**tokens_of(record), "revision": record.revision + 1}
        self._notes.add("putting", **facts)
        stored = await self._store.put(record, release=release)
        self._notes.add("put", **facts | {"revision": stored.revision})
        return stored


class NotingTransport:
    """A transport that notes which refresh tokens it is given to send."""

    def __init__(self, notes):
        self._transport, self._notes = iop.HttpxTransport(), notes

    async def send(self, request):
        if "/token/refresh" not in request.url:
            return await self._transport.send(request)
        token = digest(parse_qs(request.body.decode())["refresh_token"][0])
        self._notes.add("sending", token=token)
        try:
            response = await self._transport.send(request)
        except iop.TransportError as error:
            if not error.may_have_been_applied:
                self._notes.add("unsent", token=token)
            raise
        self._notes.add("answered", token=token)
        return response

    async def aclose(self):
        await self._transport.aclose()


async def keep(settings, begin):
    """Keep the grants until somebody says to end it."""
    notes = Notes(settings["notes"])
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    store = NotingStore(from_url(settings["store"]), notes)
    client = iop.Client(
        APP, iop.gateways.Iop(settings["gateway"]), transport=NotingTransport(notes)
    )
    begin()
    async with client:
        manager = iop.TokenManager(
            client, store, scope=SCOPE, journal=settings["journal"], **settings["manager"]
        )
        try:
            tokens = await _enter(manager, over)
            told = asyncio.ensure_future(_note_events(tokens, notes))
            asked = asyncio.ensure_future(_ask(tokens, settings["asks"], notes))
            await over.wait()
            asked.cancel()
            await manager.aclose()
            await told
        finally:
            await store.aclose()


async def _enter(manager, over):
    """Try until the store answers, as who starts such a process again and again does."""
    while True:
        try:
            return await manager.__aenter__()
        except iop.StoreError as error:
            if not error.retryable or over.is_set():
                raise
        await asyncio.sleep(0.2)


async def _note_events(tokens, notes):
    async for event in tokens.events():
        if event.kind != "refreshed":
            notes.add(event.kind, seller=event.seller_id, reason=event.reason)


async def _ask(tokens, sellers, notes):
    """Want the tokens of sellers, as whoever serves them does."""
    for seller in sellers:
        token = await tokens.token(seller)
        notes.add("served", seller=seller, token=digest(token.refresh_token))


def fork(settings, others):
    """A process that keeps; it stands still before it begins, until it is told to go on."""
    child = os.fork()
    if child:
        os.waitpid(child, os.WUNTRACED)
        return child
    for stream in others:  # not this one's to hold open
        stream.close()
    try:
        asyncio.run(keep(settings, lambda: os.kill(os.getpid(), signal.SIGSTOP)))
    except BaseException:  # noqa: BLE001 - it must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main():
    children = set()
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):
            children.discard(asked)
            said = os.waitstatus_to_exitcode(os.waitpid(asked, 0)[1])
        else:
            said = fork(asked, (sys.stdin, sys.stdout))
            children.add(said)
        print(said, flush=True)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
