"""Finding what is due and lending it, each function within one transaction."""

# ruff: noqa: S608 - the statements are put together from constants
from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from ..._records import Record
from ...protocols import MAX_LEASE_SECONDS
from .._base import Row
from .._columns import span
from .._contract import CLAIM_WINDOW, DUE_STEP
from . import _rows, _writes

_MAX_ROUNDS: Final = 100
"""Rounds of one claim: it goes on to the next candidates where some cannot be read."""

_LEAST: Final = -(2**63)
"""Nothing that a column may hold beside NULL comes before it."""

# A lease that ends beyond all bounds, or holds no number, is none: see MAX_LEASE_SECONDS.
_IS_FREE: Final = "coalesce(lease_until, 0) NOT BETWEEN :now + 1 AND :latest"

_IN_INDEX: Final = "FROM records INDEXED BY records_by_due WHERE scope = :scope"

# So every record that may be claimed has no lease at all, and claims pass by none of the others.
_END_LEASES: Final = f"""UPDATE records SET lease_holder = NULL, lease_until = NULL WHERE id IN (
    SELECT id FROM (
        SELECT id {_IN_INDEX} AND due_at IS NOT NULL AND lease_until <= :now
        UNION ALL SELECT id {_IN_INDEX} AND due_at IS NOT NULL AND lease_until > :latest)
    LIMIT :window)"""

# One row for all of them: a thread gives up the interpreter for every row it fetches.
DUE: Final = f"""SELECT group_concat(id, ',') FROM (
    SELECT id FROM (
        SELECT dies_at, id FROM records INDEXED BY records_by_death
        WHERE scope = :scope AND lease_until IS NULL AND due_at <= :due_by
        AND due_at / {DUE_STEP} <= :due_by / {DUE_STEP}
        ORDER BY due_at / {DUE_STEP}, dies_at LIMIT :window)
    ORDER BY CAST(dies_at AS INTEGER), id LIMIT :limit)"""

_FIRST_FREE: Final = f"""SELECT CAST(due_at AS INTEGER) {_IN_INDEX}
    AND lease_until IS NULL AND due_at < :never ORDER BY due_at LIMIT 1"""

_FIRST_LEASED: Final = f"""SELECT CAST(min(
        CASE WHEN lease_until > :latest THEN due_at ELSE max(due_at, lease_until) END) AS INTEGER)
    {_IN_INDEX} AND lease_until >= :least AND due_at < :never"""

_TAKE: Final = "UPDATE records SET lease_holder = :holder, lease_until = :until"

_LEASE: Final = f"{_TAKE} WHERE id = :key AND {_IS_FREE}"

_LENGTHEN: Final = f"{_TAKE} WHERE id = :key AND lease_holder = :holder"

_IS_ANOTHERS: Final = f"""SELECT 1 FROM records
    WHERE id = :key AND lease_holder <> :holder AND NOT ({_IS_FREE})"""


@frozen(slots=False)  # its fields are the parameters of statements
class Lease:
    """A lease that a holder asks for, in microseconds of the store's clock.

    Attributes:
        latest: the last moment at which a lease that was given by now may end.
    """

    holder: str
    now: int
    until: int
    latest: int = field(init=False)

    @latest.default
    def _latest(self) -> int:
        return self.now + span(MAX_LEASE_SECONDS)


@frozen
class Claimed:
    """Rows, and the lease that each of them is under; whether their holder had none before."""

    rows: list[Row]
    lease: Lease
    is_new: bool = True


def claim(db: sqlite3.Connection, scope: str, *, due_by: int, limit: int, lease: Lease) -> Claimed:
    """Lease records that are due and not leased, ordered by expiry, earliest first.

    Rows that cannot be read are leased as well, beyond the limit: so they neither take the places
    of others nor come back at once.
    """
    window = max(CLAIM_WINDOW, limit)
    params = {"scope": scope, "due_by": due_by, "window": window, **vars(lease)}
    db.execute(_END_LEASES, params)
    claimed: list[Row] = []
    readable = 0
    for _ in range(_MAX_ROUNDS):
        keys = _due(db, {**params, "limit": limit - readable})
        rows = _rows.by_id(db, scope, keys)
        db.execute(f"{_TAKE} WHERE {_rows.among(keys)}", vars(lease))
        claimed += rows
        readable += sum(isinstance(row, Record) for row in rows)
        if readable == len(claimed) or not keys:
            break
    return Claimed(claimed, lease)


def _due(db: sqlite3.Connection, params: Mapping[str, str | int]) -> list[int]:
    """Keys of rows that may be leased."""
    (found,) = db.execute(DUE, params).fetchone()
    return [int(key) for key in found.split(b",")] if found else []


def unclaim(db: sqlite3.Connection, claimed: Claimed) -> None:
    """End leases whose holder never learned of them."""
    lease = claimed.lease
    for row in claimed.rows if claimed.is_new else ():
        if isinstance(row, Record):
            _writes.give_back(db, row.scope, row.seller_id, lease.holder, until=lease.until)


def take(db: sqlite3.Connection, scope: str, seller_id: str, lease: Lease) -> Claimed:
    """Lease a record, lengthen one's own lease, or give it back (``until`` is ``now``).

    Raises:
        StoreError: the record cannot be read, and is not leased.
    """
    found = _rows.find(db, scope, seller_id)
    if found is None:
        return Claimed([], lease)
    record, key = found
    params = {"key": key, **vars(lease)}
    if lease.until > lease.now:
        is_new = bool(db.execute(_LEASE, params).rowcount)
        is_held = is_new or db.execute(_LENGTHEN, params).rowcount
        return Claimed([record] if is_held else [], lease, is_new)
    if db.execute(_IS_ANOTHERS, params).fetchone():
        return Claimed([], lease)
    _writes.give_back(db, scope, seller_id, lease.holder)
    return Claimed([record], lease, is_new=False)


def next_due(db: sqlite3.Connection, scope: str, *, now: int) -> int | None:
    """The moment at which a claim finds something next, in microseconds."""
    latest = now + span(MAX_LEASE_SECONDS)
    params = {"scope": scope, "never": _rows.NEVER, "latest": latest, "least": _LEAST}
    found = [db.execute(query, params).fetchone() for query in (_FIRST_FREE, _FIRST_LEASED)]
    return min((row[0] for row in found if row and row[0] is not None), default=None)
