"""The store keeps the promises of every store by each driver, also by those it does not choose."""

import pytest

from iop_async.testing import StoreConformance


@pytest.mark.drill
class TestInMariaDBByAsyncmy(StoreConformance):
    backends = ("asyncio",)
    many = 200
    lease_seconds = 1.0

    @pytest.fixture
    def make_store(self, tables):
        database = tables("mariadb")
        return lambda: database.store(database.url.replace("mysql+aiomysql", "mariadb+asyncmy"))
