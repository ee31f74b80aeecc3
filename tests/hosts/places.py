"""Where hosts keep their grants together: a file, or a server that can be restarted and cut off."""

import asyncio
import sqlite3
from contextlib import ExitStack, contextmanager

from network import CUTS, Network
from own_servers import OwnMariaDB, OwnPostgreSQL, OwnRedis, restart
from sqlalchemy import make_url

from iop_async.stores import SQLAlchemyStore, from_url

SERVERS = {"postgresql": OwnPostgreSQL, "mariadb": OwnMariaDB, "redis": OwnRedis}
NAMES = ("sqlite", *SERVERS)


class FilePlace:
    """A file: it cannot be restarted, and is cut off by whoever locks it."""

    cuts = ("lock",)

    def __init__(self, directory):
        self.near = self.url = f"sqlite:///{directory}/tokens.db"
        self._file = directory / "tokens.db"
        self._lock = None

    def restart(self, *, killed):
        """Nothing runs that could be; whether anything was."""
        return False

    def cut(self, kind):
        self._lock = sqlite3.connect(self._file, isolation_level=None)
        self._lock.execute("BEGIN IMMEDIATE")

    def mend(self):
        self._lock.close()


class ServerPlace:
    """A server behind a network: ``near`` is its own URL, ``url`` that of the hosts."""

    cuts = CUTS

    def __init__(self, server, network):
        self._server = server
        self.near = server.url
        self.url = make_url(server.url).set(port=network.port).render_as_string()
        self.cut, self.mend = network.cut, network.mend

    def restart(self, *, killed):
        """Restart the server; whether anything was."""
        restart(self._server, killed=killed)
        return True


@contextmanager
def place(name, directory):
    """A place with nothing in it."""
    with ExitStack() as stack:
        if name == "sqlite":
            yield FilePlace(directory)
            return
        server = stack.enter_context(SERVERS[name]())
        there = ServerPlace(server, stack.enter_context(Network(server.port)))
        asyncio.run(_furnish(there))
        yield there


async def _furnish(there):
    store = from_url(there.near)
    if isinstance(store, SQLAlchemyStore):
        await store.create_tables()
    await store.aclose()
