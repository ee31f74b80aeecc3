"""Records as lines of text, each of which can be read without the others."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from .._records import Record
from ._times import from_micros, to_micros


def line_of(record: Record) -> bytes:
    """A record as one line, without its end."""
    facts = {
        "scope": record.scope,
        "seller": record.seller,
        "sellers": record.sellers,
        "due_at": None if record.due_at is None else to_micros(record.due_at),
        "dies_at": None if record.dies_at is None else to_micros(record.dies_at),
        "generation": record.generation,
        "revision": record.revision,
        "body": b64encode(record.body).decode(),
    }
    return json.dumps(facts, separators=(",", ":")).encode()


def record_of(line: bytes) -> Record | None:
    """The record of a line; ``None`` for a line that was torn, or is not one of ours."""
    try:
        facts = json.loads(line)
        return Record(
            scope=_text(facts["scope"]),
            seller=_text(facts["seller"]),
            sellers=tuple(map(_text, facts["sellers"])),
            due_at=None if facts["due_at"] is None else from_micros(facts["due_at"]),
            dies_at=None if facts["dies_at"] is None else from_micros(facts["dies_at"]),
            generation=int(facts["generation"]),
            revision=int(facts["revision"]),
            body=b64decode(facts["body"], validate=True),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
