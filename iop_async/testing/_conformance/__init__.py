"""Does a store keep its promises? A class of tests to derive from."""

from __future__ import annotations

from ._bulk import Bulk
from ._bulk_reading import BulkReading
from ._crowds import Crowds
from ._keeping import Keeping
from ._leasing import Leasing
from ._naming import Naming
from ._writing import Writing

__all__ = ["StoreConformance"]


class StoreConformance(Writing, Naming, Leasing, Crowds, Keeping, Bulk, BulkReading):
    """The promises of :class:`~iop_async.protocols.TokenStore`, each of them a test.

    Derive a class whose name begins with ``Test``, and tell it how to open a store::

        from iop_async.testing import StoreConformance

        class TestMyStore(StoreConformance):
            @pytest.fixture
            def make_store(self, tmp_path):
                return lambda: iop.stores.SQLiteStore(tmp_path / "tokens")

    What the fixture returns is called in the running event loop and gives a store, or an awaitable
    of one. Called again within a test, it gives another store on the same data, as another host
    would open it; in the next test the data is to be fresh. The suite closes what it opened.

    The tests are plain functions that run an event loop of their own, once for asyncio and, where
    it is installed, once for trio. They do not care for ``pytest-asyncio``, its modes, or the
    plugin of anyio, and go along with all of them.

    A lease has to end in some tests. Where the clock of the store can be moved, override the
    fixture ``pass_time`` to return a callable that moves it by so many seconds, so that nothing
    waits; that clock must show about the real time when a test begins.

    Attributes:
        is_shared: two stores on the same data see each other; ``False`` for one in memory.
        is_durable: what was put is there after the store was closed and opened again.
        backends: what to run on; asyncio, and trio where it is installed, by default.
        lease_seconds: a lease short enough to wait for, long enough for a few calls of the store.
        many: how many records, and how many writes, the tests under load make.
    """
