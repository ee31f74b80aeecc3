"""Writes and leases of one record each, by group commit: what a store is asked for all the time.

Each is one statement; and those that many ask for at the same time are done in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ..._records import Record
from ..._values import changed
from .._batches import LONG_BODY
from .._contract import MAX_READ_COUNT
from . import _bulk, _leases, _skip_locked, _writes
from ._engines import Engine
from ._errors import TOO_LARGE
from ._group_commit import GroupCommit
from ._skip_locked import LeaseRequest, Replacement
from ._sql import Sql
from ._transactions import Attempts, Operation, Transactions

T = TypeVar("T")


class GroupedWrites:
    """Does writes and leases, together where the database can skip what others have locked."""

    def __init__(self, engine: Engine, transactions: Transactions) -> None:
        self._engine: Final = engine
        self._transactions: Final = transactions
        self._does_many: Final = engine.database.many_rows_by is not None
        self._replacements = GroupCommit(
            do_one=self._put_one,
            do_many=self._replace_many,
            group=lambda _: None,
            identity=lambda one: one.seller,
            size=lambda one: len(one.record.body),
        )
        self._leases = GroupCommit(
            do_one=self._lease_one,
            do_many=self._lease_many,
            group=lambda one: one.terms,
            identity=lambda one: one.seller,
            size=lambda _: 0,
        )

    async def put(self, record: Record, release: str | None) -> Record:
        """Write a record; see :class:`~iop_async.protocols.TokenStore`."""
        is_long = len(record.body) >= LONG_BODY
        if is_long:
            await self._require_room(record)
        replacement = Replacement(record, release)
        if is_long or not self._does_many or not _may_replace(record):
            return await self._put_one(replacement)
        return await self._replacements.do(replacement)

    async def _put_one(self, replacement: Replacement) -> Record:
        # repeated after a lost acknowledgement, the first finds nothing to do, and the second
        # that it was done
        record, release, attempts = replacement.record, replacement.release, replacement.attempts
        replace = partial(_writes.replace, record=record, release=release)
        if _may_replace(record) and await self._transactions.write_each(replace, attempts):
            return changed(record, revision=record.revision + 1)

        async def put(db: AsyncConnection, sql: Sql) -> Record:
            new = None if record.revision else await _bulk.put_new(db, sql, record)
            again = attempts.may_be_done
            return new or await _writes.put(db, sql, record, release, again=again)

        return await self._transactions.write(put, attempts)

    async def _replace_many(
        self, replacements: Sequence[Replacement]
    ) -> list[Record | StoreError | None]:
        attempts = Attempts()
        replace = partial(_skip_locked.replace, replacements=replacements)
        replaced = await self._try_once(replace, attempts)
        if isinstance(replaced, StoreError):
            return [copy(replaced) for _ in replacements]
        for one in replacements:
            one.attempts.may_be_done = attempts.may_be_done
        written = {n: replacements[n].record for n in replaced or ()}
        return [
            changed(written[n], revision=written[n].revision + 1) if n in written else None
            for n in range(len(replacements))
        ]

    async def _try_once(self, operation: Operation[T], attempts: Attempts) -> T | StoreError | None:
        at_once = self._engine.database.returns_updated
        return await self._transactions.try_once(operation, attempts, is_one_statement=at_once)

    async def _require_room(self, record: Record) -> None:
        """Raises ``StoreError`` where the server takes no statement as long as this one will be."""
        ask = self._engine.database.max_statement
        if ask is None:
            return
        room = await self._transactions.read(lambda db, _: db.scalar(text(ask)))
        if 2 * len(record.body) + LONG_BODY > room:  # sent as digits, with sellers beside them
            raise TOO_LARGE.error(self._engine.where, "max_allowed_packet")

    async def lease(self, request: LeaseRequest) -> _leases.Claimed:
        """Lease a record, or lengthen one's own lease."""
        return await (self._leases.do if self._does_many else self._lease_one)(request)

    async def _lease_one(self, request: LeaseRequest) -> _leases.Claimed:
        scope, seller_id = request.seller
        holder, seconds = request.terms

        async def lease(db: AsyncConnection, sql: Sql) -> _leases.Claimed:
            return await _leases.lease(db, sql, scope, seller_id, holder, seconds)

        return await self._transactions.write_each(lease)

    async def _lease_many(
        self, requests: Sequence[LeaseRequest]
    ) -> list[_leases.Claimed | StoreError | None]:
        leased = await self._try_once(partial(_skip_locked.lease, requests=requests), Attempts())
        if isinstance(leased, StoreError):
            return [copy(leased) for _ in requests]
        return [(leased or {}).get(n) for n in range(len(requests))]


def _may_replace(record: Record) -> bool:
    return 0 < record.revision <= MAX_READ_COUNT
