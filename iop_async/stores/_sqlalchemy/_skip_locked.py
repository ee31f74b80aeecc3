"""Replacing and leasing many records at once, each function within one transaction.

Rows that somebody else has locked are skipped, and so are those that do not match: both are left
to whoever does them one by one. Nothing here waits, therefore, and nothing deadlocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._exceptions import StoreError
from ..._records import Record
from .._columns import span
from . import _leases, _rows
from ._many_rows_sql import Json, as_arrays, as_document
from ._sql import Sql
from ._transactions import Attempts


@frozen
class Replacement:
    """A write of a record whose sellers stay as they are, as far as its writer knows."""

    record: Record
    release: str | None
    attempts: Attempts = field(factory=Attempts)

    @property
    def seller(self) -> tuple[str, str]:
        """Whose record it is: scope and seller."""
        return self.record.scope, self.record.seller_id

    def columns(self) -> dict[str, Any]:
        """What is to be found, and what to write."""
        keys = _rows.key_columns(self.record.scope, self.record.seller_id, self.record.seller_ids)
        return {
            "seller_key": keys["seller_key"],
            "revision": self.record.revision,
            "sellers": keys["sellers"],
            **_rows.value_columns(self.record),
            "holder": None if self.release is None else self.release.encode(),
        }


async def replace(db: AsyncConnection, sql: Sql, replacements: Sequence[Replacement]) -> set[int]:
    """Compare and swap records; the places of those that were swapped."""
    wanted = [{"n": n, **one.columns()} for n, one in enumerate(replacements)]
    if sql.arrays is not None:
        return set((await db.execute(sql.arrays.replace, as_arrays(wanted))).scalars())
    if sql.json is None:
        return set()
    found = {"a_document": as_document(wanted, Json.FOUND)}
    row_ids = {row.n: row.id for row in await db.execute(sql.json.lock, found)}
    if row_ids:
        written = [{**wanted[n], "id": row_id} for n, row_id in row_ids.items()]
        document = as_document(written, Json.WRITTEN)
        params = {"a_document": document, "some_ids": [*row_ids.values()]}
        await db.execute(sql.json.replace, params)
    return set(row_ids)


@frozen
class LeaseRequest:
    """What is to be leased, and to whom."""

    scope: str
    seller_id: str
    holder: str
    seconds: float

    @property
    def seller(self) -> tuple[str, str]:
        """Whose record it is: scope and seller."""
        return self.scope, self.seller_id

    @property
    def terms(self) -> tuple[str, float]:
        """What requests have in common that are met at once."""
        return self.holder, self.seconds


async def lease(
    db: AsyncConnection, sql: Sql, requests: Sequence[LeaseRequest]
) -> dict[int, _leases.Claimed]:
    """Lease records on the same terms; what was leased, by the places of the requests."""
    holder, seconds = requests[0].terms
    keys = [_rows.seller_key(*request.seller) for request in requests]
    rows = await _lease_rows(db, sql, keys, holder, seconds)
    leased: dict[int, _leases.Claimed] = {}
    unread: dict[int, int] = {}
    for n, (row, until) in {row.id: (row.n, (row, until)) for row, until in rows}.values():
        ends = {row.id: until} if row.is_new else {}
        scope, seller_id = requests[n].seller
        try:
            record = _rows.found_record(scope, seller_id, row)
        except StoreError:
            unread |= ends
        else:
            leased[n] = _leases.Claimed([record], ends, holder)
    await _leases.undo(db, sql, _leases.Claimed([], unread, holder))
    return leased


async def _lease_rows(
    db: AsyncConnection, sql: Sql, keys: Sequence[bytes], holder: str, seconds: float
) -> list[tuple[Any, int]]:
    params: dict[str, Any] = {"a_holder": holder.encode()}
    if sql.arrays is not None:
        params |= {"some_n": [*range(len(keys))], "some_seller_key": keys}
        rows = await db.execute(sql.arrays.lease, {**params, "a_number": span(seconds)})
        return [(row, row.lease_until) for row in rows]
    if sql.json is None:
        return []
    wanted = [{"n": n, "seller_key": key} for n, key in enumerate(keys)]
    params["a_document"] = as_document(wanted, Json.SELLERS)
    locked = (await db.execute(sql.json.lock_leased, params)).all()
    until = max((row.now for row in locked), default=0) + span(seconds)
    if locked:
        row_ids = sorted({row.id for row in locked})
        params = {"a_holder": holder.encode(), "some_ids": row_ids, "an_until": until}
        await db.execute(sql.lease_all, params)
    return [(row, until) for row in locked]
