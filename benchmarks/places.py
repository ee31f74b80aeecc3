"""The stores that processes may share, each in a corner of its server that is nobody else's."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from attrs import frozen
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import create_async_engine

from iop_async.stores import RedisStore, SQLAlchemyStore, SQLiteStore

PORTS = {"SQLite": 0, "PostgreSQL": 5432, "MariaDB": 3306, "Redis": 6379}


@frozen
class Place:
    """A store by its name, the server's URL, and what its tables or keys begin with."""

    name: str
    url: str
    prefix: str

    def store(self) -> SQLiteStore | RedisStore | SQLAlchemyStore:
        if self.name == "SQLite":
            return SQLiteStore(urlsplit(self.url).path)
        if self.name == "Redis":
            return RedisStore(self.url, prefix=self.prefix)
        return SQLAlchemyStore(self.url, table_prefix=self.prefix)

    @property
    def listens(self) -> bool:
        url = urlsplit(self.url)
        if url.hostname is None:
            return True
        try:
            socket.create_connection((url.hostname, url.port or PORTS[self.name]), 2).close()
        except OSError:
            return False
        return True

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[str]:
        """Have tables, or nothing yet, and leave nothing behind; the version of the server."""
        if self.name == "SQLite":
            yield sqlite3.sqlite_version
        elif self.name == "Redis":
            async with Redis.from_url(self.url) as client:
                try:
                    yield (await client.info("server"))["redis_version"]
                finally:
                    async for key in client.scan_iter(f"{{{self.prefix}:*"):
                        await client.delete(key)
        else:
            engine = create_async_engine(self.url)
            store = SQLAlchemyStore(engine, table_prefix=self.prefix)
            await store.create_tables()
            try:
                yield ".".join(map(str, engine.dialect.server_version_info or ()))
            finally:
                async with engine.begin() as db:
                    await db.run_sync(store.metadata.drop_all)
                await store.aclose()
                await engine.dispose()
