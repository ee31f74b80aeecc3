"""Databases with tables of the test's own."""

import asyncio

import pytest
from attrs import asdict
from services import require
from sql_helpers import Database
from store_kinds import IN_TABLES, STORES, provisioning

SERVERS = [name for name in IN_TABLES if STORES[name].own_server is not None]


@pytest.fixture(scope="module")
def provision(tmp_path_factory):
    """Gives a location of a store by the name of its kind, for this module, and empty."""
    with provisioning() as at:
        yield lambda name: at(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def tables(provision):
    """The same for databases, behind whose stores the tests reach."""
    return lambda name: Database(**asdict(provision(name)))


@pytest.fixture(params=IN_TABLES)
def database(request, tables):
    """Each kind of database in turn, with tables, and empty."""
    return tables(request.param)


@pytest.fixture(params=SERVERS)
def server(request, tables):
    """Each of those that are servers."""
    return tables(request.param)


@pytest.fixture(params=IN_TABLES)
def without_tables(request, tmp_path):
    """Each kind of database in turn, without tables."""
    kind = STORES[request.param]
    url = require(kind.url) if kind.own_server else kind.url.format(directory=tmp_path)
    database = Database(request.param, url)
    yield database
    asyncio.run(database.drop())
