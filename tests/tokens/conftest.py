"""A world for every promise about tokens."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from redis_servers import own_prefix
from services import REDIS
from sql_hands import place_of
from tokens_world import World

from iop_async.sandbox import running
from iop_async.stores import RedisStore


@pytest.fixture
def world(tmp_path) -> Iterator[World]:
    made = World(tmp_path / "tokens.db")
    with running(made.sandbox) as url:
        made.url = url
        yield made


@pytest.fixture(scope="session")
def databases(tmp_path_factory):
    """Gives a database by its name, with tables for this run of the tests, and empty."""
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


@pytest.fixture
def shared(request, world, databases) -> Iterator[World]:
    """A world whose store is of the kind that the test's parameter names, and nobody else's."""
    kind = request.param
    with ExitStack() as stack:
        if kind == "redis":
            prefix = stack.enter_context(own_prefix())
            world.store = lambda: RedisStore(REDIS, prefix=prefix)
        elif kind != "sqlite":
            world.store = databases(kind).store
        yield world
