"""Databases with tables of the test's own."""

import asyncio
from functools import partial

import pytest
from sql_hands import SERVERS, furnished, place_of


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Gives a database by its name, with tables for this module, and empty."""
    with furnished(partial(tmp_path_factory.mktemp, "sql")) as at:
        yield at


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
