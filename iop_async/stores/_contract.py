"""Rules that every store keeps alike: what it takes, and when a write may happen. Without I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from .._exceptions import StaleRecord, StoreError
from .._inputs import require_aware
from .._records import Record
from .._values import changed
from ..protocols import MAX_LEASE_SECONDS

MAX_COUNT: Final = 2**53
"""No generation is higher: past it a double, which Lua and JSON count with, would skip numbers."""

MAX_READ_COUNT: Final = MAX_COUNT // 2
"""A generation or revision above it was planted. What was read can still be counted on, therefore,
and written again."""

CLAIM_WINDOW: Final = 500
"""A claim takes the earliest expiries of so many records, those that fell due in the earliest
``DUE_STEP`` and of these the earliest expiries, however many more are due: what it costs depends
neither on those nor on the ones that are leased."""

DUE_STEP: Final = 60_000_000
"""Microseconds since 1970 are whole multiples of it where a minute begins."""

_MAX_REVISION: Final = 2**63 - 1


class MissingKey(StoreError):
    """A record is sealed with a key that was not given: settings are wrong, and not the record."""

    retryable = False


def check_record(record: Record) -> None:
    """Raises ``ValueError`` or ``TypeError`` for a record that breaks its own rules."""
    require_aware("due_at", record.due_at)
    require_aware("dies_at", record.dies_at)
    if record.seller_id not in record.seller_ids:
        msg = "the seller that a record is filed under must be among its sellers"
        raise ValueError(msg)
    if len(set(record.seller_ids)) != len(record.seller_ids):
        msg = "a record names each of its sellers once"
        raise ValueError(msg)
    check_names(record.scope, *record.seller_ids)
    if not (0 <= record.generation <= MAX_COUNT and 0 <= record.revision <= _MAX_REVISION):
        msg = "generation and revision count from 0, the former to 2**53, the latter in 63 bits"
        raise ValueError(msg)
    body: object = record.body
    if not isinstance(body, bytes):
        msg = f"the body of a record is bytes, not {type(body).__name__}"
        raise TypeError(msg)


def check_records(records: Iterable[Record]) -> None:
    """Raises for a record as :func:`check_record` does; ``ValueError`` where two share a seller.

    Which of the two came last would decide what that seller finds.
    """
    found: set[tuple[str, str]] = set()
    for record in records:
        check_record(record)
        for seller_id in record.seller_ids:
            if (record.scope, seller_id) in found:
                msg = f"two of the records have the seller {seller_id!r} in common; put one of them"
                raise ValueError(msg)
            found.add((record.scope, seller_id))


def check_asked(scope: str, seller_ids: Iterable[str]) -> None:
    """Raises as :func:`check_names` does for sellers of a scope, who are asked for at once."""
    if isinstance(seller_ids, str):
        msg = "many sellers are asked for by a list of their ids, not by one text"
        raise TypeError(msg)
    check_names(scope, *seller_ids)


def check_names(*names: object) -> None:
    """Raises ``TypeError`` or ``ValueError`` for a scope, seller or holder that no store can keep.

    Asking for such a name is refused as writing it is: some databases would fail, and some would
    find what is filed under another.
    """
    for name in names:
        if not isinstance(name, str):
            msg = f"scopes, sellers and holders are text, not {type(name).__name__}"
            raise TypeError(msg)
        try:
            name.encode()
        except UnicodeEncodeError:
            msg = f"{name!r} is no text: half of a surrogate pair cannot be stored"
            raise ValueError(msg) from None
        if "\0" in name:
            msg = f"{name!r} holds a NUL character, which not every database keeps"
            raise ValueError(msg)


def check_lease(seconds: float, *, may_be_zero: bool = False) -> None:
    """Raises ``ValueError`` for the length of a lease that makes no sense."""
    if not math.isfinite(seconds) or seconds < 0 or not (seconds or may_be_zero):
        msg = f"a lease lasts a positive number of seconds, not {seconds}"
        raise ValueError(msg)
    if seconds > MAX_LEASE_SECONDS:
        msg = (
            f"a lease lasts {MAX_LEASE_SECONDS:.0f} seconds at most, not {seconds}: it would "
            "outlive its holder. Renew shorter ones"
        )
        raise ValueError(msg)


def by_expiry(record: Record) -> tuple[bool, datetime | None]:
    """Sort key of what a claim returns: earliest expiry first, those without one last."""
    return record.dies_at is None, record.dies_at


def is_repetition(stored: Record | None, record: Record) -> bool:
    """Compare and swap, decided: whether the write of ``record`` was made before.

    If so, only its acknowledgement was lost, and nothing is to be done.

    Args:
        stored: what is filed under the record's seller now.

    Raises:
        StaleRecord: the write must not be made, because somebody else's came first.
    """
    if stored is None:
        if record.revision:
            msg = (
                f"the record of seller {record.seller_id!r} was removed, or its seller moved to "
                "another record, in the meantime; read again"
            )
            raise StaleRecord(msg)
        return False
    if stored.revision == record.revision:
        return False
    # the first write of a record may have been given any revision, see TokenStore.remove
    was_next = record.revision in (0, stored.revision - 1)
    if was_next and stored == changed(record, revision=stored.revision):
        return True
    msg = (
        f"the record of seller {record.seller_id!r} is at revision {stored.revision}, and this "
        f"write was made for revision {record.revision}: somebody else's came first; read again"
    )
    raise StaleRecord(msg)
