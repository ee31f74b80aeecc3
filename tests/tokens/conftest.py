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


@pytest.fixture
def shared(request, world) -> World:
    """A world whose store is of the kind that the test's parameter names, and nobody else's."""
    kind = request.param
    with ExitStack() as stack:
        if kind == "redis":
            prefix = stack.enter_context(own_prefix())
            world.store = lambda: RedisStore(REDIS, prefix=prefix)
        elif kind != "sqlite":
            place = place_of(kind, world.path.parent)
            asyncio.run(place.create())
            stack.callback(lambda: asyncio.run(place.drop()))
            world.store = place.store
        yield world
