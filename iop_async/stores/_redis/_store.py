"""The store on a Redis server."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ..._exceptions import StoreError
from ..._inputs import require_aware
from ..._records import Record
from ..._redact import NotPickled
from ..._scrub import scrubs_frames
from ...protocols import StoreReport
from .._base import EnteredOnce, Pages, Row, SkippedRows, row_of
from .._batches import LONG_BODY, Found, Outcome, get_in_batches, put_in_batches
from .._columns import span, to_micros
from .._contract import (
    by_expiry,
    check_asked,
    check_lease,
    check_names,
    check_record,
    check_records,
)
from . import _claims, _rows, _scripts
from ._clients import source_of
from ._runner import ScriptCall, ScriptRunner

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster
    from valkey.asyncio import Valkey, ValkeyCluster

_PAGE: Final = 200
"""Records read at a time by :meth:`RedisStore.records`."""

_PUT_BATCH: Final = 100
"""Records written in one step, while everybody else waits."""


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
    replicas behind Sentinels
        a write counts as made when every replica that the Sentinels may put in the master's place
        has it too. One that has not heard of it in a fifth of ``timeout`` makes it a
        ``StoreError``: so it is while another takes over, and a manager tries again.
    other replicas
        are asynchronous: one that takes over has not seen the last writes of its master, and the
        old master goes on taking writes for some ten seconds. With ``min-replicas-to-write`` set on
        every server to the number of its replicas, the store waits for so many; on a Redis Cluster
        it does not, and a master that crashes there loses what was on its way to its replica.

    The store looks at these settings with its first command, and logs a warning (to
    ``iop_async.stores``) where a server keeps nothing on disk, may evict grants, or has replicas
    that it does not wait for; :meth:`check` returns them.

    Claims, leases and writes are scripts that the server runs as one step. All keys of a scope
    begin with ``{prefix:scope}:``, so that one node of a cluster holds them. Leases run by the
    server's clock. It takes Redis 5 or newer, and asyncio: redis-py knows no trio.

    Constructing does no I/O. Any number of event loops may use a store, in threads or one after the
    other, and so may a forked process: each has connections of its own, which are closed with it. A
    caller that is cancelled takes no write back. Where an answer was lost, what may be repeated is
    repeated once.

    Args:
        redis: a URL (``redis://``, ``rediss://`` or ``unix://``; ``redis+sentinel://`` or
            ``redis+cluster://``; or so with ``valkey``), whose clients repeat nothing by
            themselves; or your own client, of redis-py or valkey-py, which belongs to the event
            loop that uses it first. It is not closed and keeps its settings: one that repeats
            commands by itself may lease records that nobody then knows of until the lease ends.
        prefix: what the keys begin with.
        timeout: seconds for one call of the server, before it is repeated or ``StoreError``.
            Those who ask while many others do wait for their turn besides, for up to 30 seconds.

    Raises:
        ValueError: the URL, the prefix or the timeout cannot be used.
        TypeError: ``redis`` is neither a URL nor an asyncio client.

    Example::

        store = iop.stores.RedisStore("redis://127.0.0.1:6379/0", prefix="shop", timeout=5)
        manager = iop.TokenManager(client, store)
    """

    @scrubs_frames
    def __init__(
        self,
        redis: str | Redis | RedisCluster | Valkey | ValkeyCluster,
        *,
        prefix: str = "iop",
        timeout: float = 5.0,
    ) -> None:
        if not (math.isfinite(timeout) and timeout > 0):
            msg = f"timeout is a positive number of seconds, not {timeout}"
            raise ValueError(msg)
        source = source_of(redis, timeout)
        _scripts.keys_of(prefix, "")  # raises for what is no text
        self._prefix = prefix
        self._skipped = SkippedRows()
        self._runner = ScriptRunner(source, timeout=timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._runner.name!r}, prefix={self._prefix!r})"

    async def _open(self) -> None:
        await self.get("", "")  # for its side effect: the server is there and knows scripts

    async def check(self, scope: str = "") -> StoreReport:
        """See :class:`~iop_async.protocols.Checkable`: a master, whose scripts may read and write.

        Settings that lose grants are only warned of, as with any first command. A user who may not
        ask for them (``INFO``) is not told of any.
        """
        call = self._call(_scripts.CHECK, scope)

        async def check() -> StoreReport:
            await self._runner.execute(call)
            try:
                return await self._runner.report()
            except StoreError:
                return StoreReport(
                    store=self._runner.name, server="Redis, which does not tell more"
                )

        return await self._runner.run(check)

    def _call(
        self,
        script: _scripts.Script,
        scope: str,
        *args: str | bytes | int,
        is_idempotent: bool = True,
    ) -> ScriptCall:
        sent = tuple(arg.encode() if isinstance(arg, str) else arg for arg in args)
        return ScriptCall(
            script, _scripts.keys_of(self._prefix, scope), sent, is_idempotent=is_idempotent
        )

    async def get(self, scope: str, seller_id: str) -> Record | None:
        """The record that ``seller_id`` finds."""
        check_names(scope, seller_id)
        call = self._call(_scripts.GET, scope, seller_id)
        return await self._runner.run(lambda: self._find(call, scope, seller_id))

    async def _find(self, call: ScriptCall, scope: str, seller_id: str) -> Record | None:
        row = await self._runner.execute(call)
        return None if row is None else _rows.record_of(scope, seller_id, row[:2])

    async def get_many(
        self, scope: str, seller_ids: Sequence[str]
    ) -> list[Record | StoreError | None]:
        """Get each of them; see :class:`~iop_async.protocols.BulkTokenStore`."""
        check_asked(scope, seller_ids)

        async def get_batch(batch: Sequence[str]) -> list[Found]:
            rows = await self._runner.execute(self._call(_scripts.GET_MANY, scope, *batch))
            return [
                None if row is None else row_of(_rows.record_of, scope, seller_id, row)
                for seller_id, row in zip(batch, rows, strict=True)
            ]

        return await self._runner.run(lambda: get_in_batches(seller_ids, get_batch))

    async def put(self, record: Record, *, release: str | None = None) -> Record:
        """Write a record if the stored one still has its revision; see :class:`TokenStore`."""
        check_record(record)
        return await self._runner.run(lambda: self._put(record, release))

    async def _put(self, record: Record, release: str | None = None) -> Record:
        if len(record.body) >= LONG_BODY:
            await self._runner.require_room(len(record.body))
        ended = "" if release is None else f"={release}"
        call = self._call(_scripts.PUT, record.scope, *_rows.put_args(record), ended)
        answer = await self._runner.execute(call)
        written = _rows.written(record, answer)
        # A second try finds that the first one came through, and ended the lease. Whoever has the
        # lease now may be the same holder at its next task.
        if release is not None and not int(answer[0]) and not call.was_lost:
            await self._runner.execute(self._lease_call(record.scope, record.seller_id, release, 0))
        return written

    async def put_many(self, records: Sequence[Record]) -> list[Record | StoreError]:
        """Put each of them; see :class:`~iop_async.protocols.BulkTokenStore`."""
        check_records(records)
        return await self._runner.run(
            lambda: put_in_batches(records, self._put_batch, self._put, count=_PUT_BATCH)
        )

    async def _put_batch(self, records: Sequence[Record]) -> list[Outcome]:
        answers: dict[int, Outcome] = {}
        for scope in {record.scope for record in records}:
            ours = [n for n, record in enumerate(records) if record.scope == scope]
            args = (arg for n in ours for arg in _rows.put_args(records[n]))
            found = await self._runner.execute(self._call(_scripts.PUT_MANY, scope, *args))
            for n, answer in zip(ours, found, strict=True):
                answers[n] = row_of(_rows.written, records[n], answer)
        return [answers[n] for n in range(len(records))]

    async def remove(self, scope: str, seller_id: str) -> bool:
        """Forget the record that ``seller_id`` finds; whether there was one."""
        check_names(scope, seller_id)
        # not idempotent: what is found the second time may be a new grant
        call = self._call(_scripts.REMOVE, scope, seller_id, is_idempotent=False)
        return bool(await self._runner.run(lambda: self._runner.execute(call)))

    async def claim(
        self, scope: str, *, due_by: datetime, limit: int, holder: str, seconds: float
    ) -> list[Record]:
        """Lease records that are due and not leased, ordered by expiry, earliest first.

        A caller that is cancelled while it waits leases nothing.
        """
        check_names(scope, holder)
        check_lease(seconds)
        require_aware("due_by", due_by)
        claim = _claims.Claim(
            runner=self._runner,
            keys=_scripts.keys_of(self._prefix, scope),
            scope=scope,
            due_by=to_micros(due_by),
            holder=holder.encode(),
            span=span(seconds),
        )
        rows = await self._runner.run(lambda: claim.take(limit), undo=claim.undo)
        return sorted(self._skipped.readable(rows), key=by_expiry)

    async def lease(
        self, scope: str, seller_id: str, *, holder: str, seconds: float
    ) -> Record | None:
        """Lease a record, or lengthen one's own lease; 0 seconds give it back.

        A caller that is cancelled while it waits takes no lease that it did not have.
        """
        check_names(scope, seller_id, holder)
        check_lease(seconds, may_be_zero=True)
        call = self._lease_call(scope, seller_id, holder, span(seconds))

        async def undo(_: object) -> None:
            _, _, *taken = call.answer or (None, None)
            if taken:
                record_id, ends = taken
                args = (holder.encode(), ends, record_id)
                await self._runner.execute(ScriptCall(_scripts.UNCLAIM, call.keys, args))

        return await self._runner.run(
            lambda: self._lease(call, scope, seller_id, holder), undo=undo
        )

    async def _lease(
        self, call: ScriptCall, scope: str, seller_id: str, holder: str
    ) -> Record | None:
        try:
            return await self._find(call, scope, seller_id)
        except StoreError:
            with suppress(StoreError):  # then it ends by itself
                await self._runner.execute(self._lease_call(scope, seller_id, holder, 0))
            raise

    def _lease_call(self, scope: str, seller_id: str, holder: str, micros: int) -> ScriptCall:
        # giving back is not idempotent: the same holder may have leased the record anew
        return self._call(
            _scripts.LEASE, scope, seller_id, holder, micros, is_idempotent=micros > 0
        )

    async def next_due(self, scope: str) -> datetime | None:
        """The moment at which :meth:`claim` finds something next, leases considered."""
        check_names(scope)
        call = self._call(_scripts.NEXT_DUE, scope)
        return _rows.earliest(await self._runner.run(lambda: self._runner.execute(call)))

    def records(self, scope: str) -> AsyncIterator[Record]:
        """All records of a scope, in no order; read in pages, so that memory does not grow."""
        check_names(scope)

        async def page(after: bytes) -> tuple[list[Row], bytes | None]:
            call = self._call(_scripts.PAGE, scope, after, _PAGE)
            rows = await self._runner.run(lambda: self._runner.execute(call))
            read = [row_of(_rows.numbered, scope, key, row) for _, key, *row in rows]
            return read, rows[-1][0] if len(rows) == _PAGE else None

        return Pages(page, b"0")

    async def aclose(self) -> None:
        """Finish what was asked for and close the client that the store made."""
        await self._runner.aclose()
