"""Records as the scripts take and give them: indexed fields as JSON, and a body."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from ..._records import Record
from ..._values import changed
from .._columns import next_moment, read_record, to_json, to_micros, unreadable
from .._contract import is_repetition

_SELLER: Final = re.compile(rb'"seller": ?"((?:[^"\\]|\\.)*)"')
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}")


def index_fields(record: Record) -> bytes:
    """Fields that a record is found by, as JSON, without its revision, which the server counts."""
    fields = {
        "seller": record.seller_id,
        "sellers": record.seller_ids,
        "due": _text(record.due_at),
        "dies": _text(record.dies_at),
        "generation": str(record.generation),
    }
    return to_json(fields).encode()


def put_args(record: Record) -> tuple[int, bytes, bytes]:
    """A record as the scripts that write it are given it."""
    return record.revision, index_fields(record), record.body


def written(record: Record, answer: Sequence[bytes | None]) -> Record:
    """The record as it is after a script wrote it, or found that it had been written before.

    Raises:
        StoreError: it was not written; see :func:`is_repetition`.
    """
    revision, *row = answer
    if int(revision or 0):
        return changed(record, revision=int(revision or 0))
    stored = record_of(record.scope, record.seller_id, row) if row else None
    is_repetition(stored, record)  # or raises
    assert stored is not None  # noqa: S101 - there would be nothing to repeat
    return stored


def numbered(scope: str, record_id: bytes, row: Sequence[bytes | None]) -> Record:
    """The record of indexed fields and a body, found by its id; see :func:`record_of`."""
    return record_of(scope, f"unknown, record {record_id.decode(errors='replace')}", row)


def record_of(scope: str, asked: str, row: Sequence[bytes | None]) -> Record:
    """The record of indexed fields and a body, found by the seller that was ``asked`` for.

    Raises:
        StoreError: they cannot be read, or are not there.
    """
    text, body = row
    fields = _fields(text or b"")
    if fields is None:
        named = _SELLER.search(text or b"")
        reason = "its fields are torn" if text else "its fields are gone"
        raise unreadable(scope, named[1] if named else asked, reason)
    return read_record(
        scope=scope,
        seller=fields.get("seller"),
        sellers=fields.get("sellers"),
        due_at=_number(fields.get("due", False)),
        dies_at=_number(fields.get("dies", False)),
        generation=_number(fields.get("generation")),
        revision=_number(fields.get("revision")),
        body=body,
        asked=asked,
    )


def _fields(text: bytes) -> dict[str, object] | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _number(text: object) -> object:
    """A number that is kept as text, because those of the scripts are doubles; blank: none.

    Anything else is text, and thereby no number for whoever reads the column.
    """
    if text == "":
        return None
    return int(text) if isinstance(text, str) and _NUMBER.fullmatch(text) else repr(text)


def _text(moment: datetime | None) -> str:
    return "" if moment is None else str(to_micros(moment))


def earliest(moments: Sequence[bytes]) -> datetime | None:
    """The first moment at which one of some records is due and its lease has ended."""
    pairs = zip(map(_micros, moments[::2]), map(_micros, moments[1::2]), strict=True)
    ends = (max(due, due if end is None else end) for due, end in pairs if due is not None)
    return next_moment(min(ends, default=None))


def _micros(number: bytes) -> int | None:
    try:
        return int(number)
    except ValueError:  # there is none, or it is spoiled
        return None
