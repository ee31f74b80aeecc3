"""Finding what is due and lending it, each function within one transaction."""

# ruff: noqa: S608 - the statements are put together from constants
from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from attrs import asdict, frozen

from ..._records import Record
from . import _rows, _writes

FEW: Final = 1_000
"""Rather than walk past records that are not due, look at this many that are and sort them."""

_READY: Final = "due_at <= :due_by AND coalesce(lease_until, 0) <= :now"

# One row for thousands of candidates: a thread gives up the interpreter for every row it fetches.
DUE: Final = f"""SELECT group_concat(dies_at || ' ' || id) FROM (
    SELECT dies_at, id FROM records INDEXED BY records_by_due
    WHERE scope = :scope AND {_READY} LIMIT :limit)"""

DYING: Final = f"""SELECT group_concat(dies_at || ' ' || id) FROM (
    SELECT dies_at, id FROM records INDEXED BY records_by_death
    WHERE scope = :scope AND {_READY} ORDER BY dies_at LIMIT :limit)"""

# Both pass by the records that are leased, which are as many as are being worked on.
_FIRST_FREE: Final = """SELECT due_at FROM records INDEXED BY records_by_due
    WHERE scope = :scope AND due_at IS NOT NULL AND coalesce(lease_until, due_at) <= due_at
    ORDER BY due_at LIMIT 1"""

_FIRST_LEASE_TO_END: Final = """SELECT min(lease_until) FROM records INDEXED BY records_by_due
    WHERE scope = :scope AND due_at < :due_at AND lease_until > due_at"""

_TAKE: Final = "UPDATE records SET lease_holder = :holder, lease_until = :until"

_LEASE: Final = f"""{_TAKE} WHERE id = (SELECT record FROM sellers
        WHERE scope = :scope AND seller = :seller)
    AND (lease_holder = :holder OR coalesce(lease_until, 0) <= :now)"""

_IS_ANOTHERS: Final = """SELECT 1 FROM records WHERE id = (SELECT record FROM sellers
        WHERE scope = :scope AND seller = :seller)
    AND lease_holder <> :holder AND lease_until > :now"""


@frozen
class Lease:
    """Who wants to hold something, from when until when, in microseconds of the store's clock."""

    holder: str
    now: int
    until: int


@frozen
class Claimed:
    """Records, and the lease that each of them is under."""

    records: list[Record]
    lease: Lease


def claim(db: sqlite3.Connection, scope: str, *, due_by: int, limit: int, lease: Lease) -> Claimed:
    """Lease records that are due and not leased, those that die first first."""
    facts: dict[str, str | int] = {"scope": scope, "due_by": due_by, "now": lease.now}
    few = max(FEW, limit)
    candidates = _candidates(db, DUE, {**facts, "limit": few + 1})
    if len(candidates) > few:
        # so many are due that the first to die are soon found among all
        candidates = _candidates(db, DYING, {**facts, "limit": limit})
    keys = [key for _, key in sorted(candidates)[:limit]]
    records = _rows.by_id(db, keys)
    db.execute(f"{_TAKE} WHERE {_rows.among(keys)}", asdict(lease))
    return Claimed(records, lease)


def unclaim(db: sqlite3.Connection, claimed: Claimed) -> None:
    """End the leases of a claim whose caller never learned of them."""
    lease = claimed.lease
    for record in claimed.records:
        _writes.give_back(db, record.scope, record.seller, lease.holder, until=lease.until)


def _candidates(
    db: sqlite3.Connection, statement: str, values: Mapping[str, str | int]
) -> list[tuple[int, int]]:
    (found,) = db.execute(statement, values).fetchone()
    pairs = (pair.split() for pair in found.split(",")) if found else ()
    return [(int(dies_at), int(key)) for dies_at, key in pairs]


def take(db: sqlite3.Connection, scope: str, seller: str, lease: Lease) -> Record | None:
    """Lease a record, lengthen one's own lease, or give it back (``until`` is ``now``)."""
    facts = {"scope": scope, "seller": seller, **asdict(lease)}
    if lease.until > lease.now:
        if not db.execute(_LEASE, facts).rowcount:
            return None
    elif db.execute(_IS_ANOTHERS, facts).fetchone():
        return None
    else:
        _writes.give_back(db, scope, seller, lease.holder)
    return _rows.get(db, scope, seller)


def next_due(db: sqlite3.Connection, scope: str) -> int | None:
    """When a claim will find something next, in microseconds."""
    row = db.execute(_FIRST_FREE, {"scope": scope}).fetchone()
    free = row[0] if row else _rows.NEVER
    (leased,) = db.execute(_FIRST_LEASE_TO_END, {"scope": scope, "due_at": free}).fetchone()
    first = min(free, _rows.NEVER if leased is None else leased)
    return None if first == _rows.NEVER else first
