"""Records as the scripts know them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from ..._records import Record
from .._times import from_micros, to_micros


def as_bytes(text: str) -> bytes:
    """Text for a script; what is no text is asked for in vain, and not refused."""
    return text.encode(errors="surrogatepass")


def facts_of(record: Record) -> bytes:
    """What a record is found by, without its revision, which the server counts."""
    facts = {
        "seller": record.seller,
        "sellers": record.sellers,
        "due": _text(record.due_at),
        "dies": _text(record.dies_at),
        "generation": str(record.generation),
    }
    return json.dumps(facts, ensure_ascii=False).encode()


def record_of(scope: str, row: Sequence[bytes]) -> Record:
    """The record of its facts and its body."""
    facts, body = row
    found = json.loads(facts)
    return Record(
        scope=scope,
        seller=found["seller"],
        sellers=tuple(found["sellers"]),
        due_at=_moment(found["due"]),
        dies_at=_moment(found["dies"]),
        generation=int(found["generation"]),
        revision=int(found["revision"]),
        body=body,
    )


def _text(moment: datetime | None) -> str:
    return "" if moment is None else str(to_micros(moment))


def _moment(micros: str) -> datetime | None:
    return from_micros(int(micros)) if micros else None


def earliest(moments: Sequence[bytes]) -> datetime | None:
    """The first moment at which both is over: a record is not yet due, and its lease lasts."""
    pairs = zip(moments[::2], moments[1::2], strict=True)
    return min((from_micros(max(int(due), int(ends or due))) for due, ends in pairs), default=None)
