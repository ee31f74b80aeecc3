"""What the tests of SQLAlchemyStore are written with."""

import asyncio
import random
from contextlib import asynccontextmanager, suppress

from attrs import evolve, frozen
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from store_helpers import SCOPE, record
from store_kinds import STORES, StoreLocation

from iop_async import StaleRecord
from iop_async.stores import Record
from iop_async.stores._sqlalchemy import SQLAlchemyStore


@frozen
class Database(StoreLocation):
    """A database, and tables in it that are nobody else's."""

    @property
    def name(self):
        """As SQLAlchemyStore knows it."""
        return "sqlite" if self.kind == "aiosqlite" else self.kind

    def store(self, engine=None, **options):
        return SQLAlchemyStore(engine or self.url, table_prefix=self.prefix, **options)

    @asynccontextmanager
    async def engine(self, **options):
        """An engine as a user makes it."""
        engine = create_async_engine(self.url, **options)
        try:
            yield engine
        finally:
            await engine.dispose()

    async def execute(self, *statements, **values):
        """Reach behind the store's back; the rows of the last statement."""
        async with self.engine() as engine, engine.begin() as db:
            for statement in statements:
                result = await db.execute(text(statement.format(t=self.prefix)), values)
            return result.all() if result.returns_rows else None

    @asynccontextmanager
    async def locked(self, statement):
        """While somebody else has done this and not committed it."""
        async with self.engine() as engine, engine.begin() as db:
            yield await db.execute(text(statement.format(t=self.prefix)))

    async def create(self):
        await STORES[self.kind].create(self)

    async def empty(self):
        await STORES[self.kind].empty(self)

    async def drop(self):
        await STORES[self.kind].drop(self)


def connections_of(engine, database):
    """The ids by which the server knows the connections that an engine makes from now on."""
    ask = "SELECT pg_backend_pid()" if database.name == "postgresql" else "SELECT CONNECTION_ID()"
    ids = []

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection, _):
        cursor = connection.cursor()
        cursor.execute(ask)
        ids.append(cursor.fetchone()[0])
        cursor.close()
        connection.rollback()

    return ids


async def kill(database, ids):
    """End connections, whatever they are doing."""
    how = "SELECT pg_terminate_backend({})" if database.name == "postgresql" else "KILL {}"
    for one in ids:
        with suppress(DBAPIError):  # it was gone already
            await database.execute(how.format(one))


async def write_and_remove(stores, shared, *, writers, rounds):
    """Write new sellers, many and one by one, beside a remover of these and of what is there.

    Fails where a revision of a seller is given twice.

    Args:
        shared: sellers that all of the writers write.
    """
    given, over = [], asyncio.Event()

    async def write(n):
        store, chance = stores[n % len(stores)], random.Random(n)
        for turn in range(rounds):
            begin = (n * rounds + turn) * 20
            many = [record(f"{one}", f"also {one}") for one in range(begin, begin + 20)]
            outcomes = await store.put_many(many) if n % 3 == 0 else []
            new = [f"{begin}", *(f"shared {chance.randrange(shared)}" for _ in range(shared > 0))]
            for seller in new:
                with suppress(StaleRecord):
                    outcomes.append(await store.put(record(seller, body=f"{n} {turn}".encode())))
                    kept = evolve(outcomes[-1], body=f"{n} {turn} more".encode())
                    outcomes.append(await store.put(kept))
            given.extend(one for one in outcomes if isinstance(one, Record))

    async def remove():
        chance = random.Random(writers)
        while not over.is_set():
            await stores[0].remove(SCOPE, f"also {chance.randrange(writers * rounds * 20)}")
            await stores[-1].remove(SCOPE, f"shared {chance.randrange(max(shared, 1))}")

    removing = asyncio.ensure_future(remove())
    await asyncio.gather(*map(write, range(writers)))
    over.set()
    await removing
    names = [(one.seller_id, one.revision) for one in given]
    assert len(names) == len(set(names))


class Proxy:
    """Stands between a store and a server, cuts connections, and swallows what they say."""

    def __init__(self, url):
        self._behind = make_url(url)
        self._cut_at = None
        self._streams = set()
        self.cuts = 0
        self.is_silent = False
        self._closes = False
        self._opened = asyncio.Event()
        self._opened.set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._behind.set(port=port).render_as_string(hide_password=False)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for _ in range(10):  # who has just connected is served some turns of the loop later
            self.cut()
            await asyncio.sleep(0)

    def cut(self):
        """Break every connection that there is."""
        for stream in self._streams:
            stream.transport.abort()
        self._streams.clear()

    def cut_at(self, *markers):
        """Once each: carry what holds these words to the server, and break before it answers.

        MySQL is sent values as hexadecimal digits.
        """
        self._cut_at = [(marker.encode(), marker.encode().hex().encode()) for marker in markers]

    @asynccontextmanager
    async def closed_after_cut(self):
        """From the next cut on nobody comes through, until whatever is done here is done."""
        self._closes = True
        try:
            yield
        finally:
            self._closes = False
            self._opened.set()

    def passed(self, *, to_server):
        """Something was said, in one of the two directions."""

    async def _serve(self, reader, writer):
        self._streams.add(writer)
        await self._opened.wait()
        there = await asyncio.open_connection(self._behind.host, self._behind.port)
        self._streams.add(there[1])
        lost = asyncio.Event()
        await asyncio.gather(
            self._carry(reader, there[1], lost, watch=True),
            self._carry(there[0], writer, lost),
        )

    async def _carry(self, reader, writer, lost, *, watch=False):
        with suppress(OSError):
            while data := await reader.read(65536):
                self.passed(to_server=watch)
                if self.is_silent:
                    continue
                said = data.replace(b"READ COMMITTED", b"")  # which is no commit
                if watch and self._cut_at and any(one in said for one in self._cut_at[0]):
                    del self._cut_at[0]
                    self.cuts += 1
                    lost.set()
                    if self._closes:
                        self._opened.clear()
                if not watch and lost.is_set():
                    break  # the server has done it, and the answer goes nowhere
                writer.write(data)
                await writer.drain()
        for stream in (writer, *(self._streams if lost.is_set() else ())):
            stream.transport.abort()
