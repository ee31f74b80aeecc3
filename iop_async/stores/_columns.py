"""Records as columns, and back: times are whole microseconds since 1970, sellers a JSON list.

Whoever can write to a database can put anything into a column, and disks tear. Reading is therefore
total: a row is a record, or one ``StoreError`` that names it, so that it never costs another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring
from typing import Final

from .._exceptions import StoreError
from .._records import Record
from ._contract import MAX_READ_COUNT, check_record

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)

to_json: Final = json.JSONEncoder(ensure_ascii=False).encode
"""Made once: ``json.dumps`` makes an encoder for each text that may hold what is no ASCII."""


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970, exact."""
    return (moment - _EPOCH) // _TICK


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of :func:`to_micros`. Raises ``OverflowError`` out of range."""
    return _EPOCH + timedelta(microseconds=micros)


def next_moment(micros: object) -> datetime | None:
    """The moment at which a claim should look next, from the earliest column there is.

    No moment of a spoiled row is an error: one before all time is long past, one after it, or one
    that is no number, never comes.
    """
    if not isinstance(micros, int) or micros > to_micros(_LAST):
        return None
    try:
        return from_micros(micros)
    except OverflowError:
        return _EPOCH


def span(seconds: float) -> int:
    """Seconds as microseconds."""
    return round(seconds * 1_000_000)


def sellers_column(seller_ids: Sequence[str]) -> str:
    """The sellers of a record, in their order, as one column: their JSON, without an encoder."""
    return f"[{', '.join(map(encode_basestring, seller_ids))}]"


def read_record(
    *,
    scope: str,
    seller: object,
    sellers: object,
    due_at: object,
    dies_at: object,
    generation: object,
    revision: object,
    body: object,
    asked: str | None = None,
) -> Record:
    """The record in a row, whose text columns may be bytes; ``None`` for a time that there is not.

    Args:
        asked: what the row was found by; names one that does not tell its seller.

    Raises:
        StoreError: some column holds what no store writes; the message names the seller, and which.
    """
    try:
        record = Record(
            scope=scope,
            seller_id=_text("seller", seller),
            seller_ids=_names("sellers", sellers),
            due_at=_moment("due_at", due_at),
            dies_at=_moment("dies_at", dies_at),
            generation=_count("generation", generation),
            revision=_count("revision", revision),
            body=_bytes("body", body),
        )
        check_record(record)
    except (TypeError, ValueError) as exc:
        reason = str(exc)
    else:
        return record
    is_told = isinstance(seller, (str, bytes))
    raise unreadable(scope, seller if is_told else asked, reason)


def unreadable(scope: str, seller: object, reason: str) -> StoreError:
    """The error for a row that is no record."""
    name = seller.decode(errors="replace") if isinstance(seller, bytes) else seller
    msg = (
        f"the record of seller {_shown(name)} of {_shown(scope)} cannot be read: {reason}. Restore "
        "it from a copy, or remove it and have the seller authorize again"
    )
    return StoreError(msg, retryable=False)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(column: str, value: object) -> str:
    try:
        text = value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        text = None
    if not isinstance(text, str):
        raise _spoiled(column, "is no text")
    return text


def _names(column: str, value: object) -> tuple[str, ...]:
    try:
        names = json.loads(_text(column, value)) if isinstance(value, (str, bytes)) else value
    except (ValueError, RecursionError):
        raise _spoiled(column, "is no JSON") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _spoiled(column, "is no list of texts")
    return tuple(names)


def _moment(column: str, value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise _spoiled(column, "is no number")
    try:
        return from_micros(value)
    except OverflowError:
        raise _spoiled(column, "is out of range") from None


def _count(column: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _spoiled(column, "is no number")
    if not 0 <= value <= MAX_READ_COUNT:
        raise _spoiled(column, "is out of range")
    return value


def _bytes(column: str, value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):  # a body that is text by mistake is still read by who wrote it
        value = value.encode(errors="replace")
    if isinstance(value, memoryview):  # so some drivers give what is binary
        value = value.tobytes()
    if not isinstance(value, (bytes, bytearray)):
        raise _spoiled(column, "is not made of bytes")
    return bytes(value)


def _spoiled(column: str, what: str) -> ValueError:
    return ValueError(f"its column {column} {what}")
