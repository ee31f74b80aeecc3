"""What the tests of SQLAlchemyStore are written with."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import services
from sqlalchemy import text
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


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Gives a database by its name, with tables for this module, and empty."""
    made = {}

    def at(name):
        if name not in made:
            made[name] = place_of(name, tmp_path_factory.mktemp("sql"))
            asyncio.run(made[name].create())
        asyncio.run(made[name].empty())
        return made[name]

    yield at
    for place in made.values():
        asyncio.run(place.drop())


@pytest.fixture(params=[*SERVERS, "sqlite"])
def place(request, tables):
    """Each kind of database in turn, with tables, and empty."""
    return tables(request.param)


@pytest.fixture(params=list(SERVERS))
def server(request, tables):
    """Each of those that are servers."""
    return tables(request.param)


@pytest.fixture(params=[*SERVERS, "sqlite"])
def bare(request, tmp_path):
    """Each kind of database in turn, without tables."""
    place = place_of(request.param, tmp_path)
    yield place
    asyncio.run(place.drop())
