"""A world for every promise about tokens."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from redis_servers import own_prefix
from services import REDIS
from sql_hands import furnished
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
    with furnished(partial(tmp_path_factory.mktemp, "sql")) as at:
        yield at


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
