"""Finding what is due and lending it, each function within one transaction."""

# ruff: noqa: S608 - the statements are put together from constants
from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from attrs import asdict, field, frozen

from ..._records import Record
from ...protocols import MAX_LEASE_SECONDS
from .._base import Row
from .._columns import span
from . import _rows, _writes

FEW: Final = 1_000
"""Rather than walk past records that are not due, look at this many that are and sort them."""

_MAX_ROUNDS: Final = 100
"""Rounds of one claim: it goes on to the next candidates where some cannot be read."""

# A lease that ends beyond all bounds, or holds no number, is none: see MAX_LEASE_SECONDS.
_IS_FREE: Final = "coalesce(lease_until, 0) NOT BETWEEN :now + 1 AND :latest"

_READY: Final = f"due_at <= :due_by AND {_IS_FREE}"

_EXPIRY: Final = f"coalesce(CAST(dies_at AS INTEGER), {_rows.NEVER})"

# One row for thousands of candidates: a thread gives up the interpreter for every row it fetches.
DUE: Final = f"""SELECT group_concat({_EXPIRY} || ' ' || id) FROM (
    SELECT dies_at, id FROM records INDEXED BY records_by_due
    WHERE scope = :scope AND {_READY} LIMIT :limit)"""

EXPIRING: Final = f"""SELECT group_concat({_EXPIRY} || ' ' || id) FROM (
    SELECT dies_at, id FROM records INDEXED BY records_by_death
    WHERE scope = :scope AND {_READY} ORDER BY dies_at LIMIT :limit)"""

# Both pass by the records that are leased, which are as many as are being worked on.
_FIRST_FREE: Final = """SELECT CAST(due_at AS INTEGER) FROM records INDEXED BY records_by_due
    WHERE scope = :scope AND due_at < :never
        AND (coalesce(lease_until, due_at) <= due_at OR lease_until > :latest)
    ORDER BY due_at LIMIT 1"""

_FIRST_LEASE_TO_END: Final = """SELECT CAST(min(lease_until) AS INTEGER)
    FROM records INDEXED BY records_by_due
    WHERE scope = :scope AND due_at < :due_at AND lease_until > due_at
        AND lease_until <= :latest"""

_TAKE: Final = "UPDATE records SET lease_holder = :holder, lease_until = :until"

_LEASE: Final = f"{_TAKE} WHERE id = :key AND {_IS_FREE}"

_LENGTHEN: Final = f"{_TAKE} WHERE id = :key AND lease_holder = :holder"

_IS_ANOTHERS: Final = f"""SELECT 1 FROM records
    WHERE id = :key AND lease_holder <> :holder AND NOT ({_IS_FREE})"""


@frozen
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
    params = {"scope": scope, "due_by": due_by, **asdict(lease)}
    claimed: list[Row] = []
    readable = 0
    for _ in range(_MAX_ROUNDS):
        keys = _due(db, params, limit - readable)
        rows = _rows.by_id(db, scope, keys)
        db.execute(f"{_TAKE} WHERE {_rows.among(keys)}", asdict(lease))
        claimed += rows
        readable += sum(isinstance(row, Record) for row in rows)
        if readable == len(claimed) or not keys:
            break
    return Claimed(claimed, lease)


def _due(db: sqlite3.Connection, params: Mapping[str, str | int], limit: int) -> list[int]:
    """Keys of rows that may be leased."""
    few = max(FEW, limit)
    candidates = _candidates(db, DUE, {**params, "limit": few + 1})
    if len(candidates) > few:
        # so many are due that the earliest expiries are soon found among all
        candidates = _candidates(db, EXPIRING, {**params, "limit": limit})
    return [key for _, key in sorted(candidates)[:limit]]


def unclaim(db: sqlite3.Connection, claimed: Claimed) -> None:
    """End leases whose holder never learned of them."""
    lease = claimed.lease
    for row in claimed.rows if claimed.is_new else ():
        if isinstance(row, Record):
            _writes.give_back(db, row.scope, row.seller_id, lease.holder, until=lease.until)


def _candidates(
    db: sqlite3.Connection, statement: str, values: Mapping[str, str | int]
) -> list[tuple[int, int]]:
    (found,) = db.execute(statement, values).fetchone()
    pairs = (pair.split() for pair in found.split(b",")) if found else ()
    return [(int(dies_at), int(key)) for dies_at, key in pairs]


def take(db: sqlite3.Connection, scope: str, seller_id: str, lease: Lease) -> Claimed:
    """Lease a record, lengthen one's own lease, or give it back (``until`` is ``now``).

    Raises:
        StoreError: the record cannot be read, and is not leased.
    """
    found = _rows.find(db, scope, seller_id)
    if found is None:
        return Claimed([], lease)
    record, key = found
    params = {"key": key, **asdict(lease)}
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
    params = {"scope": scope, "never": _rows.NEVER, "latest": now + span(MAX_LEASE_SECONDS)}
    row = db.execute(_FIRST_FREE, params).fetchone()
    free = row[0] if row else _rows.NEVER
    (leased,) = db.execute(_FIRST_LEASE_TO_END, {**params, "due_at": free}).fetchone()
    first = min(free, _rows.NEVER if leased is None else leased)
    return None if first == _rows.NEVER else first
