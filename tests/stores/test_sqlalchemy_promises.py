"""The store keeps the promises of every store, in each kind of database and by each driver."""

import pytest
from sql_hands import place_of

from iop_async.protocols import TokenStore
from iop_async.testing import StoreConformance


class InADatabase(StoreConformance):
    backends = ("asyncio",)
    many = 200
    lease_seconds = 1.0

    @pytest.fixture
    def make_store(self, tables):
        return tables(self.name).store


class TestInPostgreSQL(InADatabase):
    name = "postgresql"


class TestInMariaDB(InADatabase):
    name = "mariadb"


class TestInSQLite(InADatabase):
    name = "sqlite"


@pytest.mark.drill
class TestInPostgreSQLAtLength(TestInPostgreSQL):
    many = 10_000


@pytest.mark.drill
class TestInMariaDBAtLength(TestInMariaDB):
    many = 10_000


@pytest.mark.drill
class TestInSQLiteAtLength(TestInSQLite):
    many = 10_000


@pytest.mark.drill
class TestInMariaDBByAsyncmy(InADatabase):
    name = "mariadb"

    @pytest.fixture
    def make_store(self, tables):
        place = tables(self.name)
        return lambda: place.store(place.url.replace("mysql+aiomysql", "mariadb+asyncmy"))


def test_it_has_the_shape_of_a_store(tmp_path):
    """As a type checker sees it, and at run time."""
    store: TokenStore = place_of("sqlite", tmp_path).store()
    assert isinstance(store, TokenStore)
