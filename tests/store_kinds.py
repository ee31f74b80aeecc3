"""The one list of stores that all tests and benchmarks run against.

An entry of ``STORES`` gives a new store every promise of every store, every promise about tokens
that holds over shared stores, the processes of ``tests/hosts`` and the benchmark of hosts.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit
from uuid import uuid4

from attrs import field, frozen
from own_servers import OwnServer
from redis.asyncio import Redis
from services import MARIADB, POSTGRESQL, REDIS, binary, require
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from iop_async.stores import MemoryStore, RedisStore, SQLAlchemyStore, SQLiteStore

Work: TypeAlias = Callable[["StoreLocation"], Coroutine[Any, Any, None]]


async def _nothing(_: StoreLocation) -> None:
    """What needs no tables, or goes with its directory."""


async def _version_of_sqlite(_: StoreLocation) -> str:
    return sqlite3.sqlite_version


@frozen(kw_only=True)
class StoreKind:
    """A kind of store, and what it can do.

    Attributes:
        title: its name for readers.
        url: of the server that the tests share; of a file, with ``{directory}`` in it.
        make: a store from a URL, a prefix of tables or keys, and options.
        backends: event loops that it runs under.
        takes_clock: it takes ``now``; others run leases by the clock of their server.
        own_server: a server that a test may stop and kill; none is needed for a file.
        create, empty, drop: what to do with tables or keys before, between and after tests.
        version: that of the server, for measurements.
    """

    title: str
    url: str
    make: Callable[..., Any]
    is_shared: bool = True
    is_durable: bool = True
    backends: tuple[str, ...] = ("asyncio",)
    takes_clock: bool = False
    own_server: type[OwnServer] | None = None
    create: Work = _nothing
    empty: Work = _nothing
    drop: Work = _nothing
    version: Callable[[StoreLocation], Coroutine[Any, Any, str]] = _version_of_sqlite


@frozen
class StoreLocation:
    """Where a store of some kind has tables, keys or a file that are nobody else's."""

    kind: str
    url: str
    prefix: str = field(factory=lambda: f"t{uuid4().hex[:10]}_")

    def store(self, **options: Any) -> Any:
        """One more store here, as another host opens it."""
        return STORES[self.kind].make(self.url, self.prefix, **options)

    @asynccontextmanager
    async def provisioned(self) -> AsyncIterator[str]:
        """Have tables or nothing yet, and leave nothing behind; the version of the server."""
        kind = STORES[self.kind]
        await kind.create(self)
        try:
            yield await kind.version(self)
        finally:
            await kind.drop(self)


@contextmanager
def provisioning() -> Iterator[Callable[[str, Path], StoreLocation]]:
    """Gives a location by the name of its kind, and a directory for files: with tables, and empty.

    On a server there is one location of each kind, because making tables takes longer than a test.
    """
    made: dict[str, StoreLocation] = {}

    def at(name: str, directory: Path) -> StoreLocation:
        kind = STORES[name]
        if kind.own_server is None:
            location = StoreLocation(name, kind.url.format(directory=directory))
            asyncio.run(kind.create(location))
            return location
        if name not in made:
            made[name] = StoreLocation(name, require(kind.url))
            asyncio.run(kind.create(made[name]))
        asyncio.run(kind.empty(made[name]))
        return made[name]

    yield at
    for name, location in made.items():
        asyncio.run(STORES[name].drop(location))


def _memory(_url: str, _prefix: str, **options: Any) -> MemoryStore:
    return MemoryStore(**options)


def _sqlite(url: str, _prefix: str, **options: Any) -> SQLiteStore:
    return SQLiteStore(urlsplit(url).path.removeprefix("/"), **options)


def _sql(url: str, prefix: str, **options: Any) -> SQLAlchemyStore:
    return SQLAlchemyStore(url, table_prefix=prefix, **options)


def _redis(url: str, prefix: str, **options: Any) -> RedisStore:
    return RedisStore(url, prefix=prefix, **options)


async def _create_tables(location: StoreLocation) -> None:
    store = location.store()
    await store.create_tables()
    await store.aclose()


@asynccontextmanager
async def _reached(location: StoreLocation) -> AsyncIterator[tuple[AsyncConnection, Any]]:
    engine = create_async_engine(location.url)
    try:
        async with engine.begin() as db:
            yield db, SQLAlchemyStore(engine, table_prefix=location.prefix).metadata
    finally:
        await engine.dispose()


async def _empty_tables(location: StoreLocation) -> None:
    async with _reached(location) as (db, metadata):
        for name, table in metadata.tables.items():
            if not name.endswith("layout"):
                await db.execute(table.delete())


async def _drop_tables(location: StoreLocation) -> None:
    async with _reached(location) as (db, metadata):
        await db.run_sync(metadata.drop_all)


async def _version_of_database(location: StoreLocation) -> str:
    async with _reached(location) as (db, _):
        return ".".join(map(str, db.dialect.server_version_info or ()))


async def _version_of_redis(location: StoreLocation) -> str:
    async with Redis.from_url(location.url) as client:
        return str((await client.info("server"))["redis_version"])


async def _delete_keys(location: StoreLocation) -> None:
    async with Redis.from_url(location.url) as client:
        async for key in client.scan_iter(f"{{{location.prefix}:*", count=1_000):
            await client.unlink(key)


class OwnRedis(OwnServer):
    """One that has written to its file what it acknowledges."""

    scheme, database = "redis", "0"

    def command(self) -> list[str]:
        return [
            binary("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.directory), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip


class OwnPostgreSQL(OwnServer):
    """Trusts everybody who connects from this machine."""

    user, scheme, login, database = "postgres", "postgresql+asyncpg", "postgres@", "postgres"
    polite = signal.SIGINT  # ends the sessions of clients that are connected

    def _program(self, name: str) -> str:
        return binary(name, "usr/lib/postgresql/*/bin")

    def prepare(self) -> None:
        self._run(
            self._program("initdb"), "-D", str(self.directory / "data"), "-U", "postgres",
            "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8",
        )  # fmt: skip

    def command(self) -> list[str]:
        return [
            self._program("postgres"), "-D", str(self.directory / "data"), "-p", str(self.port),
            "-k", str(self.directory), "-c", "listen_addresses=127.0.0.1",
            "-c", "max_connections=300", "-c", "shared_buffers=32MB",
        ]  # fmt: skip

    def provision(self):
        until = time.monotonic() + 60
        ask = [self._program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(ask, check=False).returncode:  # it listens before it serves
            assert time.monotonic() < until, "the server does not serve"
            time.sleep(0.05)


class OwnMariaDB(OwnServer):
    """Lets everybody in who connects from this machine."""

    user, scheme, login, database = "mysql", "mysql+aiomysql", "root@", "test"

    def prepare(self) -> None:
        self._run(
            binary("mariadb-install-db"), "--no-defaults", f"--datadir={self.directory}/data",
            "--auth-root-authentication-method=normal", "--skip-test-db",
        )  # fmt: skip

    def command(self) -> list[str]:
        return [
            binary("mariadbd"), "--no-defaults",
            f"--datadir={self.directory}/data", f"--port={self.port}", "--skip-grant-tables",
            f"--socket={self.directory}/socket", f"--pid-file={self.directory}/pid",
            "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M", "--max-connections=300",
        ]  # fmt: skip

    def provision(self):
        import pymysql

        with pymysql.connect(host="127.0.0.1", port=self.port, user="root") as db:
            db.cursor().execute("CREATE DATABASE test")


_in_tables = partial(
    StoreKind,
    make=_sql,
    create=_create_tables,
    empty=_empty_tables,
    drop=_drop_tables,
    version=_version_of_database,
)

STORES: Final[dict[str, StoreKind]] = {
    "memory": StoreKind(
        title="memory",
        url="memory://",
        make=_memory,
        is_shared=False,
        is_durable=False,
        backends=("asyncio", "trio"),
        takes_clock=True,
    ),
    "sqlite": StoreKind(
        title="SQLite",
        url="sqlite:///{directory}/tokens.db",
        make=_sqlite,
        backends=("asyncio", "trio"),
        takes_clock=True,
    ),
    "aiosqlite": _in_tables(
        title="SQLite by SQLAlchemy", url="sqlite+aiosqlite:///{directory}/tables.db"
    ),
    "postgresql": _in_tables(title="PostgreSQL", url=POSTGRESQL, own_server=OwnPostgreSQL),
    "mariadb": _in_tables(title="MariaDB", url=MARIADB, own_server=OwnMariaDB),
    "redis": StoreKind(
        title="Redis",
        url=REDIS,
        make=_redis,
        own_server=OwnRedis,
        empty=_delete_keys,
        drop=_delete_keys,
        version=_version_of_redis,
    ),
}

SHARED: Final = [
    name for name, kind in STORES.items() if kind.own_server is not None or name == "sqlite"
]
"""What hosts share. An SQLite file by way of SQLAlchemy is for those who have an engine anyway."""

IN_TABLES: Final = [name for name, kind in STORES.items() if kind.make is _sql]
"""The databases of SQLAlchemyStore."""
