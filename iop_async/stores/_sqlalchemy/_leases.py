"""Finding what is due and lending it, each function within one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from attrs import frozen
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._records import Record
from .._times import span
from . import _rows
from ._scopes import chunks
from ._statements import Statements

FEW: Final = 500
"""Rather than walk past records that are not due, look at this many that are and sort them."""

_ROUNDS: Final = 20
"""How often a claim looks for more where others were faster."""


@frozen
class Claimed:
    """Records, and the lease that they are under."""

    records: list[Record]
    ids: list[int]
    holder: str
    until: int


@frozen(kw_only=True)
class Wish:
    """What is to be claimed; ``due_by`` in microseconds."""

    scope: str
    due_by: int
    limit: int
    holder: str
    seconds: float


async def claim(db: AsyncConnection, say: Statements, wish: Wish) -> Claimed:
    """Lease records that are due and not leased, those that die first first.

    What another transaction has locked is passed by: it is being claimed, or written.
    """
    rows: list[Any] = []
    tried: set[int] = set()
    for _ in range(_ROUNDS):
        wanted = wish.limit - len(rows)
        candidates = await _candidates(db, say, wish, wanted + len(tried))
        some = [key for key in candidates if key not in tried][:wanted]
        locked = await _lock(db, say, wish, some)
        rows += locked
        if len(locked) == len(some):
            break
        tried.update(some)
    rows.sort(key=lambda row: (row.dies_at, row.id))
    return await _take(db, say, wish, rows)


async def _candidates(db: AsyncConnection, say: Statements, wish: Wish, limit: int) -> list[int]:
    facts = {"a_scope_key": _rows.scope_key(wish.scope), "a_due_by": wish.due_by}
    few = max(FEW, limit)
    found = (await db.execute(say.due, {**facts, "a_limit": few + 1})).all()
    if len(found) > few:
        # so many are due that the first to die are soon found among all
        found = (await db.execute(say.dying, {**facts, "a_limit": limit})).all()
    return [key for _, key in sorted(tuple(row) for row in found)]


async def _lock(db: AsyncConnection, say: Statements, wish: Wish, ids: Sequence[int]) -> list[Any]:
    rows: list[Any] = []
    for some in chunks(sorted(ids)):
        rows += await db.execute(say.lock, {"some_ids": some, "a_due_by": wish.due_by})
    return rows


async def _take(db: AsyncConnection, say: Statements, wish: Wish, rows: Sequence[Any]) -> Claimed:
    until = max((row.now for row in rows), default=0) + span(wish.seconds)
    claimed = Claimed(
        [_rows.record_of(wish.scope, row) for row in rows],
        [row.id for row in rows],
        wish.holder,
        until,
    )
    for ids in chunks(claimed.ids):
        facts = {"some_ids": ids, "a_holder": _rows.as_bytes(wish.holder), "an_until": until}
        await db.execute(say.take, facts)
    return claimed


async def unclaim(db: AsyncConnection, say: Statements, claimed: Claimed) -> None:
    """End the leases of a claim whose caller never learned of them."""
    holder = _rows.as_bytes(claimed.holder)
    for ids in chunks(claimed.ids):
        facts = {"some_ids": ids, "a_holder": holder, "an_until": claimed.until}
        await db.execute(say.unclaim, facts)


async def take(
    db: AsyncConnection, say: Statements, scope: str, seller: str, holder: str, seconds: float
) -> Record | None:
    """Lease a record, or lengthen one's own lease."""
    facts = {"a_key": _rows.seller_key(scope, seller), "a_holder": _rows.as_bytes(holder)}
    await db.execute(say.lease, {**facts, "a_number": span(seconds)})
    row = (await db.execute(say.leased, facts)).first()
    return None if row is None else _rows.record_of(scope, row)


async def give_back(
    db: AsyncConnection, say: Statements, scope: str, seller: str, holder: str, *, again: bool
) -> Record | None:
    """End one's own lease; but not ``again``, because the same holder may have a new one."""
    facts = {"a_key": _rows.seller_key(scope, seller), "a_holder": _rows.as_bytes(holder)}
    if not again:
        await db.execute(say.give_back, facts)
    row = (await db.execute(say.not_anothers, facts)).first()
    return None if row is None else _rows.record_of(scope, row)


async def next_due(db: AsyncConnection, say: Statements, scope: str) -> int | None:
    """When a claim will find something next, in microseconds."""
    facts = {"a_scope_key": _rows.scope_key(scope)}
    free = (await db.execute(say.first_free, facts)).scalar()
    before = _rows.NEVER if free is None else free
    leased = (await db.execute(say.first_lease_to_end, {**facts, "a_due_by": before})).scalar()
    return min((moment for moment in (free, leased) if moment is not None), default=None)
