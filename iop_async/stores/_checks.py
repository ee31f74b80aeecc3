"""Refuse what no store could keep, before anything is written."""

from __future__ import annotations

import math
from typing import Final

from .._models import require_aware
from .._records import Record

_LARGEST: Final = 2**63 - 1
_LONGEST: Final = 100 * 365 * 86_400.0


def check_record(record: Record) -> None:
    """Raises ``ValueError`` or ``TypeError`` for a record that breaks its own rules."""
    require_aware("due_at", record.due_at)
    require_aware("dies_at", record.dies_at)
    if record.seller not in record.sellers:
        msg = "the seller that a record is filed under must be among its sellers"
        raise ValueError(msg)
    if len(set(record.sellers)) != len(record.sellers):
        msg = "a record names each of its sellers once"
        raise ValueError(msg)
    for name in (record.scope, *record.sellers):
        _check_name(name)
    for number in (record.generation, record.revision):
        if not 0 <= number <= _LARGEST:
            msg = "generation and revision count from 0 and fit into 63 bits"
            raise ValueError(msg)
    body: object = record.body
    if not isinstance(body, bytes):
        msg = f"the body of a record is bytes, not {type(body).__name__}"
        raise TypeError(msg)


def _check_name(name: str) -> None:
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
    if seconds > _LONGEST:
        msg = f"a lease of {seconds} seconds would outlive its holder; renew shorter ones"
        raise ValueError(msg)
