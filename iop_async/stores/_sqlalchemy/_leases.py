"""Claiming, leasing and releasing records.

``claim`` needs a transaction; of the other functions each statement is right by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from attrs import define, evolve, frozen
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ..._records import Record
from .._base import Row, row_of
from .._columns import span
from .._contract import CLAIM_WINDOW, DUE_STEP
from . import _rows
from ._sql import Sql, chunks
from ._tables import NEVER

_CLAIM_MAX_ROUNDS: Final = 20
"""How often a claim looks for more where others were faster, or rows cannot be read."""


@frozen
class Claimed:
    """Rows, and the leases that they are under: when those end whose holder had none before."""

    rows: list[Row]
    ends: dict[int, int]
    holder: str


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
    tried: set[int] = set()
    found: list[tuple[Any, Row]] = []
    for _ in range(_CLAIM_MAX_ROUNDS):
        wanted = _wanted(found, request.limit)
        candidates = await _candidates(db, sql, request, wanted + len(tried))
        some = [row_id for row_id in candidates if row_id not in tried][:wanted]
        tried.update(some)
        rows = await _lock(db, sql, request, some)
        found += [(row, row_of(_rows.record_of, request.scope, row)) for row in rows]
        if len(some) < wanted or _count_readable(found) >= request.limit:
            break
    taken, _ = _divide(found, request.limit)
    return await _lease_all(db, sql, request, taken)


async def claim_at_once(db: AsyncConnection, sql: Sql, request: ClaimRequest) -> Claimed:
    """As :func:`claim`, each round in one statement, which is right by itself."""
    holder = request.holder.encode()
    found: list[tuple[Any, Row]] = []
    for _ in range(_CLAIM_MAX_ROUNDS):
        wanted = _wanted(found, request.limit)
        params = {**_bounds(request, wanted), "a_holder": holder, "a_number": span(request.seconds)}
        rows = (await db.execute(sql.claim, params)).all()
        found += [(row, row_of(_rows.record_of, request.scope, row)) for row in rows]
        if len(rows) < wanted or _count_readable(found) >= request.limit:
            break
    taken, left = _divide(found, request.limit)
    await undo(db, sql, Claimed([], {row.id: row.lease_until for row, _ in left}, request.holder))
    ends = {row.id: row.lease_until for row, _ in taken}
    return Claimed([read for _, read in taken], ends, request.holder)


def _wanted(found: Sequence[tuple[Any, Row]], limit: int) -> int:
    # as many again as were spoiled, so that the rounds suffice for any number of them
    readable = _count_readable(found)
    return limit - readable + len(found) - readable


def _count_readable(found: Sequence[tuple[Any, Row]]) -> int:
    return sum(not isinstance(read, StoreError) for _, read in found)


def _divide(
    found: Sequence[tuple[Any, Row]], limit: int
) -> tuple[list[tuple[Any, Row]], list[tuple[Any, Row]]]:
    """Those to be leased, in order, with all that cannot be read; and those beyond the limit."""
    readable = [each for each in found if not isinstance(each[1], StoreError)]
    readable.sort(key=lambda each: (each[0].dies_at, each[0].id))
    spoiled = [each for each in found if isinstance(each[1], StoreError)]
    return readable[:limit] + spoiled, readable[limit:]


def _bounds(request: ClaimRequest, limit: int) -> dict[str, Any]:
    return {
        "a_scope_key": _rows.scope_key(request.scope),
        "a_due_by": request.due_by,
        "a_due_minute": -(-request.due_by // DUE_STEP),
        "a_limit": limit,
        "a_sort_limit": max(CLAIM_WINDOW, limit),
    }


async def _candidates(
    db: AsyncConnection, sql: Sql, request: ClaimRequest, limit: int
) -> list[int]:
    return list((await db.execute(sql.due, _bounds(request, limit))).scalars())


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
    ends = dict.fromkeys((row.id for row, _ in locked), until)
    for some in chunks(ends):
        params = {"some_ids": some, "a_holder": request.holder.encode(), "an_until": until}
        await db.execute(sql.lease_all, params)
    return Claimed([read for _, read in locked], ends, request.holder)


async def undo(db: AsyncConnection, sql: Sql, claimed: Claimed) -> None:
    """End leases whose holder never learned of them."""
    holder = claimed.holder.encode()
    for until in set(claimed.ends.values()):
        for some in chunks(row_id for row_id, end in claimed.ends.items() if end == until):
            params = {"some_ids": some, "a_holder": holder, "an_until": until}
            await db.execute(sql.undo, params)


async def lease(
    db: AsyncConnection, sql: Sql, scope: str, seller_id: str, holder: str, seconds: float
) -> Claimed:
    """Lease a record, or lengthen one's own lease."""
    while True:
        row, is_new = await _lease_row(db, sql, _rows.seller_key(scope, seller_id), holder, seconds)
        if row is None:
            return Claimed([], {}, holder)
        leased = Claimed([], {row.id: row.lease_until} if is_new else {}, holder)
        try:
            return evolve(leased, rows=[_rows.found_record(scope, seller_id, row)])
        except StoreError:
            await undo(db, sql, leased)
            # raises it again, unless the seller has only gone to another record meanwhile
            await _rows.get(db, sql, scope, seller_id)


async def _lease_row(
    db: AsyncConnection, sql: Sql, key: bytes, holder: str, seconds: float
) -> tuple[Any, bool]:
    """The row that was leased, and whether its holder had no lease before."""
    params = {"a_key": key, "a_holder": holder.encode()}
    timed = {**params, "a_number": span(seconds)}
    row: Any
    if sql.lease is not None:
        row = (await db.execute(sql.lease, timed)).first()
        return row, row is not None and row.is_new
    is_new = bool((await db.execute(sql.take, timed)).rowcount)
    if not is_new:
        await db.execute(sql.lengthen, timed)
    return (await db.execute(sql.leased, params)).first(), is_new


@define
class Ending:
    """The end of a lease by its holder.

    Attributes:
        until: when the lease would have ended that an earlier attempt may have ended. The same
            holder may have a new one since, which ends at another time.
    """

    until: int | None = None


async def give_back(
    db: AsyncConnection, sql: Sql, scope: str, seller_id: str, holder: str, *, ending: Ending
) -> Record | None:
    """End one's own lease."""
    while True:
        row: Any = (
            await db.execute(sql.held, {"a_key": _rows.seller_key(scope, seller_id)})
        ).first()
        if row is None:
            return None
        is_ours = row.lease_holder == holder.encode()
        if not is_ours and not row.is_free:
            return None
        record = _rows.found_record(scope, seller_id, row)
        if not is_ours or not row.lease_until or ending.until not in (None, row.lease_until):
            return record
        ending.until = row.lease_until
        params = {"some_ids": [row.id], "a_holder": holder.encode(), "an_until": row.lease_until}
        if (await db.execute(sql.undo, params)).rowcount:
            return record
        ending.until = None  # it was lengthened meanwhile


async def next_due(db: AsyncConnection, sql: Sql, scope: str) -> int | None:
    """When a claim will find something next, in microseconds."""
    params = {"a_scope_key": _rows.scope_key(scope)}
    free = (await db.execute(sql.first_free, params)).scalar()
    before = NEVER if free is None else free
    leased = (await db.execute(sql.first_lease_to_end, {**params, "a_due_by": before})).scalar()
    return min((moment for moment in (free, leased) if moment is not None), default=None)
