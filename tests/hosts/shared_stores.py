"""A store that hosts share: a file, or a server that can be restarted and cut off."""

import asyncio
import sqlite3
from contextlib import ExitStack, contextmanager

from network import CUTS, Network
from own_servers import restart
from sqlalchemy import make_url
from store_kinds import SHARED, STORES

from iop_async.stores import SQLAlchemyStore, from_url

NAMES = SHARED
SERVERS = [name for name in NAMES if STORES[name].own_server is not None]


class SharedFile:
    """A file: it cannot be restarted, and is cut off by a lock."""

    cuts = ("lock",)

    def __init__(self, directory):
        self.near = self.url = f"sqlite:///{directory}/tokens.db"
        self._file = directory / "tokens.db"
        self._lock = None

    def restart(self, *, killed):
        """Nothing runs that could be restarted: ``False``."""
        return False

    def cut(self, kind):
        self._lock = sqlite3.connect(self._file, isolation_level=None, timeout=60)
        self._lock.execute("BEGIN IMMEDIATE")

    def mend(self):
        self._lock.close()


class SharedServer:
    """A server behind a network: ``near`` is its own URL, ``url`` that of the hosts."""

    cuts = CUTS

    def __init__(self, server, network):
        self._server = server
        self.near = server.url
        self.url = make_url(server.url).set(port=network.port).render_as_string()
        self.cut, self.mend = network.cut, network.mend

    def restart(self, *, killed):
        """Restart the server: ``True``."""
        restart(self._server, killed=killed)
        return True


@contextmanager
def shared_store(name, directory):
    """An empty store of a kind, with its tables."""
    with ExitStack() as stack:
        if STORES[name].own_server is None:
            yield SharedFile(directory)
            return
        server = stack.enter_context(STORES[name].own_server())
        shared = SharedServer(server, stack.enter_context(Network(server.port)))
        asyncio.run(_provision(shared))
        yield shared


async def _provision(shared):
    store = from_url(shared.near)
    if isinstance(store, SQLAlchemyStore):
        await store.create_tables()
    await store.aclose()
