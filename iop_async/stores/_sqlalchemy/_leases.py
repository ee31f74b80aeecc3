"""Claiming, leasing and releasing records, each function within one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from attrs import frozen
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ..._records import Record
from .._base import Row, row_of
from .._columns import span
from . import _rows
from ._sql import Sql, chunks
from ._tables import NEVER

SORT_MAX_ROWS: Final = 500
"""Rather than walk past records that are not due, look at this many that are and sort them."""

_CLAIM_MAX_ROUNDS: Final = 20
"""How often a claim looks for more where others were faster, or rows cannot be read."""


@frozen
class Claimed:
    """Rows, and the lease that they are under: by their ids those whose holder had none before."""

    rows: list[Row]
    row_ids: list[int]
    holder: str
    until: int


@frozen(kw_only=True)
class ClaimRequest:
    """What is to be claimed; ``due_by`` in microseconds."""

    scope: str
    due_by: int
    limit: int
    holder: str
    seconds: float


async def claim(db: AsyncConnection, sql: Sql, request: ClaimRequest) -> Claimed:
    """Lease records that are due and not leased, ordered by expiry, earliest first.

    Rows that another transaction has locked are skipped: they are being claimed, or written. Rows
    that cannot be read are leased as well, beyond the limit: so they neither take the places of
    others nor come back at once.
    """
    readable: list[tuple[Any, Record]] = []
    spoiled: list[tuple[Any, StoreError]] = []
    tried: set[int] = set()
    for _ in range(_CLAIM_MAX_ROUNDS):
        # as many again as were spoiled, so that the rounds suffice for any number of them
        wanted = request.limit - len(readable) + len(spoiled)
        candidates = await _candidates(db, sql, request, wanted + len(tried))
        some = [row_id for row_id in candidates if row_id not in tried][:wanted]
        tried.update(some)
        for row in await _lock(db, sql, request, some):
            read = row_of(_rows.record_of, request.scope, row)
            if isinstance(read, StoreError):
                spoiled.append((row, read))
            else:
                readable.append((row, read))
        if len(some) < wanted or len(readable) >= request.limit:
            break
    readable.sort(key=lambda each: (each[0].dies_at, each[0].id))
    return await _lease_all(db, sql, request, [*readable[: request.limit], *spoiled])


async def _candidates(
    db: AsyncConnection, sql: Sql, request: ClaimRequest, limit: int
) -> list[int]:
    params = {"a_scope_key": _rows.scope_key(request.scope), "a_due_by": request.due_by}
    few = max(SORT_MAX_ROWS, limit)
    found = (await db.execute(sql.due, {**params, "a_limit": few + 1})).all()
    if len(found) > few:
        # so many are due that the first to die are soon found among all
        found = (await db.execute(sql.dying, {**params, "a_limit": limit})).all()
    # one without an expiry that should have one is spoiled, and shows when it is read
    return [row_id for _, row_id in sorted((row.dies_at or 0, row.id) for row in found)]


async def _lock(
    db: AsyncConnection, sql: Sql, request: ClaimRequest, row_ids: Sequence[int]
) -> list[Any]:
    rows: list[Any] = []
    # in one order, lest two claims wait for each other: a deadlock
    for some in chunks(sorted(row_ids)):
        rows += await db.execute(sql.lock, {"some_ids": some, "a_due_by": request.due_by})
    return rows


async def _lease_all(
    db: AsyncConnection, sql: Sql, request: ClaimRequest, locked: Sequence[tuple[Any, Row]]
) -> Claimed:
    until = max((row.now for row, _ in locked), default=0) + span(request.seconds)
    row_ids = [row.id for row, _ in locked]
    for some in chunks(row_ids):
        params = {"some_ids": some, "a_holder": request.holder.encode(), "an_until": until}
        await db.execute(sql.lease_all, params)
    return Claimed([read for _, read in locked], row_ids, request.holder, until)


async def undo(db: AsyncConnection, sql: Sql, claimed: Claimed) -> None:
    """End leases whose holder never learned of them."""
    holder = claimed.holder.encode()
    for some in chunks(claimed.row_ids):
        params = {"some_ids": some, "a_holder": holder, "an_until": claimed.until}
        await db.execute(sql.undo, params)


async def lease(
    db: AsyncConnection, sql: Sql, scope: str, seller_id: str, holder: str, seconds: float
) -> Claimed:
    """Lease a record, or lengthen one's own lease."""
    params = {"a_key": _rows.seller_key(scope, seller_id), "a_holder": holder.encode()}
    timed = {**params, "a_number": span(seconds)}
    is_new = bool((await db.execute(sql.take, timed)).rowcount)
    if not is_new:
        await db.execute(sql.lengthen, timed)
    row: Any = (await db.execute(sql.leased, params)).first()
    if row is None:
        return Claimed([], [], holder, 0)
    record = _rows.found_record(scope, seller_id, row)
    return Claimed([record], [row.id] if is_new else [], holder, row.lease_until)


async def give_back(
    db: AsyncConnection, sql: Sql, scope: str, seller_id: str, holder: str, *, again: bool
) -> Record | None:
    """End one's own lease; but not ``again``, because the same holder may have a new one."""
    params = {"a_key": _rows.seller_key(scope, seller_id), "a_holder": holder.encode()}
    if not again:
        await db.execute(sql.give_back, params)
    row = (await db.execute(sql.not_anothers, params)).first()
    return None if row is None else _rows.found_record(scope, seller_id, row)


async def next_due(db: AsyncConnection, sql: Sql, scope: str) -> int | None:
    """When a claim will find something next, in microseconds."""
    params = {"a_scope_key": _rows.scope_key(scope)}
    free = (await db.execute(sql.first_free, params)).scalar()
    before = NEVER if free is None else free
    leased = (await db.execute(sql.first_lease_to_end, {**params, "a_due_by": before})).scalar()
    return min((moment for moment in (free, leased) if moment is not None), default=None)
