"""What the tests of SQLAlchemyStore are written with."""

import asyncio
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import uuid4

import services
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from iop_async.stores._sqlalchemy import SQLAlchemyStore

SERVERS = {"postgresql": services.POSTGRESQL, "mariadb": services.MARIADB}


class Place:
    """A database, and tables in it that are nobody else's."""

    def __init__(self, name, url):
        self.name = name
        self.url = url
        self.prefix = f"t{uuid4().hex[:10]}_"

    def store(self, engine=None):
        return SQLAlchemyStore(engine or self.url, table_prefix=self.prefix)

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
        store = self.store()
        await store.create_tables()
        await store.aclose()

    async def empty(self):
        await self.execute(
            *(f"DELETE FROM {{t}}{name}" for name in ("records", "sellers", "floors"))
        )

    async def drop(self):
        names = ("records", "sellers", "floors", "layout")
        await self.execute(*(f"DROP TABLE IF EXISTS {{t}}{name}" for name in names))


def place_of(name, directory):
    if name == "sqlite":
        return Place(name, f"sqlite+aiosqlite:///{directory}/tokens.db")
    return Place(name, services.require(SERVERS[name]))


@contextmanager
def furnished(make_directory):
    """Gives a place by its name: with tables, which are dropped in the end, and empty."""
    made = {}

    def at(name):
        if name not in made:
            made[name] = place_of(name, make_directory())
            asyncio.run(made[name].create())
        asyncio.run(made[name].empty())
        return made[name]

    yield at
    for place in made.values():
        asyncio.run(place.drop())


def connections_of(engine, place):
    """The ids by which the server knows the connections that an engine makes from now on."""
    ask = "SELECT pg_backend_pid()" if place.name == "postgresql" else "SELECT CONNECTION_ID()"
    ids = []

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection, _):
        cursor = connection.cursor()
        cursor.execute(ask)
        ids.append(cursor.fetchone()[0])
        cursor.close()
        connection.rollback()

    return ids


async def kill(place, ids):
    """End connections, whatever they are doing."""
    how = "SELECT pg_terminate_backend({})" if place.name == "postgresql" else "KILL {}"
    for one in ids:
        with suppress(DBAPIError):  # it was gone already
            await place.execute(how.format(one))


class Proxy:
    """Stands between a store and a server, cuts connections, and swallows what they say."""

    def __init__(self, url):
        self._behind = make_url(url)
        self._cut_at = None
        self._streams = set()
        self.cuts = 0
        self.is_silent = False

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._behind.set(port=port).render_as_string(hide_password=False)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        await asyncio.sleep(0)

    def cut(self):
        """Break every connection that there is."""
        for stream in self._streams:
            stream.transport.abort()
        self._streams.clear()

    def cut_at(self, *markers):
        """Once each: carry what holds these words to the server, and break before it answers."""
        self._cut_at = [marker.encode() for marker in markers]

    async def _serve(self, reader, writer):
        there = await asyncio.open_connection(self._behind.host, self._behind.port)
        self._streams |= {writer, there[1]}
        lost = asyncio.Event()
        await asyncio.gather(
            self._carry(reader, there[1], lost, watch=True),
            self._carry(there[0], writer, lost),
        )

    async def _carry(self, reader, writer, lost, *, watch=False):
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.is_silent:
                    continue
                said = data.replace(b"READ COMMITTED", b"")  # which is no commit
                if watch and self._cut_at and self._cut_at[0] in said:
                    del self._cut_at[0]
                    self.cuts += 1
                    lost.set()
                if not watch and lost.is_set():
                    break  # the server has done it, and the answer goes nowhere
                writer.write(data)
                await writer.drain()
        for stream in (writer, *(self._streams if lost.is_set() else ())):
            stream.transport.abort()
