"""The store on a Redis server."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from attrs import evolve

from ..._models import NotPickled, require_aware
from ..._records import Record
from .._checks import check_lease, check_record
from .._decide import is_repetition
from .._entering import EnteredOnce
from .._pages import Pages
from .._times import span, to_micros
from . import _claims, _rows, _scripts
from ._clients import client_at, require_usable
from ._server import Exchange, Server

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

_PAGE: Final = 200
"""Records read at a time by :meth:`RedisStore.records`."""


class RedisStore(EnteredOnce, NotPickled):
    """Keeps records on a Redis server or a Redis Cluster, for any number of hosts.

    A method returns when the server has acknowledged. Whether that is durable, the server's
    settings decide, and what they lose is a grant: of a pair that is lost, the refresh token
    before it is spent already, so that the seller must authorize again.

    ``appendonly yes`` with ``appendfsync everysec``
        a crash of the machine loses up to a second of pairs, or two.
    ``appendfsync always``
        nothing that was acknowledged; for those who cannot bear a loss. :class:`SQLiteStore` and
        the stores on SQL databases promise as much by themselves.
    snapshots only (``save``)
        a crash loses everything since the last one.
    ``maxmemory-policy``
        must be ``noeviction``, or the server forgets grants when its memory is full.
    replicas and failover
        are asynchronous: a replica that takes over has not seen the last writes of its master,
        and two hosts may hold one lease for a moment.

    The store looks at these settings with its first command, and logs a warning (to
    ``iop_async.stores``) where a server keeps nothing on disk or may evict grants.

    Claims, leases and writes are scripts that the server runs as one step. All keys of a scope
    begin with ``{prefix:scope}:``, so that one node of a cluster holds them. Leases run by the
    server's clock. It takes Redis 5 or newer, and asyncio: redis-py knows no trio.

    Constructing does no I/O. A store belongs to the event loop that uses it first. A caller that is
    cancelled takes no write back. Where an answer was lost, what may be repeated is repeated once.

    Args:
        redis: a URL (``redis://``, ``rediss://`` or ``unix://``, with the options of redis-py), or
            your own client, which is not closed and keeps its settings: one that repeats commands
            by itself may lease records that nobody then knows of until the lease ends.
        prefix: what the keys begin with.
        timeout: seconds for one exchange with the server, before it is repeated or ``StoreError``.
            Those who ask while many others do wait for their turn besides, for up to 30 seconds.

    Raises:
        ValueError: the URL, the prefix or the timeout cannot be used.
        TypeError: ``redis`` is neither a URL nor an asyncio client.
    """

    def __init__(
        self, redis: str | Redis | RedisCluster, *, prefix: str = "iop", timeout: float = 5.0
    ) -> None:
        if not (math.isfinite(timeout) and timeout > 0):
            msg = f"timeout is a positive number of seconds, not {timeout}"
            raise ValueError(msg)
        owned = isinstance(redis, str)
        client = client_at(redis, timeout) if isinstance(redis, str) else require_usable(redis)
        _scripts.keys_of(prefix, "")  # raises for what is no text
        self._prefix = prefix
        self._server = Server(client, timeout=timeout, owned=owned)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server.name!r}, prefix={self._prefix!r})"

    async def _open(self) -> None:
        await self.get("", "")  # for its side effect: the server is there and knows scripts

    def _exchange(
        self, script: _scripts.Script, scope: str, *args: str | bytes | int, again: bool = True
    ) -> Exchange:
        sent = tuple(_rows.as_bytes(arg) if isinstance(arg, str) else arg for arg in args)
        return Exchange(script, _scripts.keys_of(self._prefix, scope), sent, again=again)

    async def get(self, scope: str, seller: str) -> Record | None:
        """The record that ``seller`` finds."""
        exchange = self._exchange(_scripts.GET, scope, seller)
        row = await self._server.run(lambda: self._server.exchange(exchange))
        return None if row is None else _rows.record_of(scope, row)

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`."""
        check_record(record)
        exchange = self._exchange(
            _scripts.PUT,
            record.scope,
            record.revision,
            _rows.facts_of(record),
            record.body,
            "" if release is None else f"={release}",
        )
        return await self._server.run(lambda: self._put(exchange, record, release))

    async def _put(self, exchange: Exchange, record: Record, release: str | None) -> Record:
        revision, *row = await self._server.exchange(exchange)
        if int(revision):
            return evolve(record, revision=int(revision))
        stored = _rows.record_of(record.scope, row) if row else None
        is_repetition(stored, record)  # or raises
        assert stored is not None  # noqa: S101 - there would be nothing to repeat
        # A second try finds that the first one came through, and ended the lease. Whoever has the
        # lease now may be the same holder at its next task.
        if release is not None and not exchange.was_lost:
            await self._server.exchange(self._lease(record.scope, record.seller, release, 0))
        return stored

    async def remove(self, scope: str, seller: str) -> bool:
        """Forget the record that ``seller`` finds; whether there was one."""
        # not again: what is found the second time may be a new grant
        exchange = self._exchange(_scripts.REMOVE, scope, seller, again=False)
        return bool(await self._server.run(lambda: self._server.exchange(exchange)))

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, those that die first first.

        A caller that is cancelled while it waits leases nothing.
        """
        check_lease(seconds)
        require_aware("due_by", due_by)
        claim = _claims.Claim(
            server=self._server,
            keys=_scripts.keys_of(self._prefix, scope),
            scope=scope,
            due_by=to_micros(due_by),
            holder=_rows.as_bytes(holder),
            span=span(seconds),
        )
        return await self._server.run(lambda: claim.take(limit), undo=claim.undo)

    async def lease(self, scope: str, seller: str, *, holder: str, seconds: float) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back."""
        check_lease(seconds, may_be_zero=True)
        exchange = self._lease(scope, seller, holder, span(seconds))
        row = await self._server.run(lambda: self._server.exchange(exchange))
        return None if row is None else _rows.record_of(scope, row)

    def _lease(self, scope: str, seller: str, holder: str, micros: int) -> Exchange:
        # giving back not again: the same holder may have leased the record anew
        return self._exchange(_scripts.LEASE, scope, seller, holder, micros, again=micros > 0)

    async def next_due(self, scope: str) -> datetime | None:
        """When :meth:`claim` will find something next, leases considered."""
        exchange = self._exchange(_scripts.NEXT_DUE, scope)
        return _rows.earliest(await self._server.run(lambda: self._server.exchange(exchange)))

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order; read in pages, so that memory does not grow."""

        async def page(after: bytes) -> tuple[list[Record], bytes | None]:
            exchange = self._exchange(_scripts.PAGE, scope, after, _PAGE)
            rows = await self._server.run(lambda: self._server.exchange(exchange))
            records = [_rows.record_of(scope, row) for _, *row in rows]
            return records, rows[-1][0] if len(rows) == _PAGE else None

        return Pages(page, b"0")

    async def aclose(self) -> None:
        """Finish what was asked for and close the client that the store made."""
        await self._server.aclose()
