"""An HTTP answer before it is sent, and the ids that go into it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from attrs import evolve, frozen

from ..gateways._answers import STRING_TO_SIGN_HEADER
from ._refusals import Said

JSON: Final = b"application/json;charset=UTF-8"
HTML: Final = b"text/html;charset=UTF-8"

HEADER_ROOM: Final = 8_000
"""Bytes of a header that shows a string to sign; HTTP parsers refuse much longer ones."""

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
Write: TypeAlias = Callable[[Mapping[str, Any]], bytes]

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""

_numbers = count(1)


@frozen
class Answer:
    """What goes back over the wire.

    Attributes:
        cut: ends the connection instead: ``reset`` in the middle of the body, ``drop`` before
            the first byte.
        fields, write: what the gateway says, without its wrapper, and how that becomes a body;
            none of both where the body is nothing that a gateway says.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = ()
    cut: str = ""
    fields: Mapping[str, Any] | None = None
    write: Write | None = None

    def with_fields(self, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Answer:
        """The answer with other fields, where it has any."""
        if self.fields is None or self.write is None:
            return self
        fields = change(self.fields)
        return evolve(self, body=self.write(fields), fields=fields)


def gateway_answer(
    fields: Mapping[str, Any], write: Write, *, content_type: bytes = JSON, headers: Headers = ()
) -> Answer:
    """An answer as the gateways give it, errors included: status 200."""
    return Answer(
        write(fields), content_type=content_type, headers=headers, fields=fields, write=write
    )


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def html_answer(status: int, title: str, text: str) -> Answer:
    """A page of something in front of the gateway. Both texts are HTML."""
    page = _PAGE.format(title=title, text=text)
    return Answer(page.encode(), status, HTML)


def signed_headers(said: Said) -> Headers:
    """The header that shows what the sandbox signed, where a signature was wrong."""
    if said.string_to_sign is None:
        return ()
    return ((STRING_TO_SIGN_HEADER.encode(), _header_value(said.string_to_sign).encode()),)


def _header_value(text: str) -> str:
    """Percent-encoded UTF-8; of a text that has no room, the beginning and its length."""
    quoted = quote(text[:HEADER_ROOM], safe="")
    if len(quoted) <= HEADER_ROOM and len(text) <= HEADER_ROOM:
        return quoted
    kept = HEADER_ROOM
    while len(quoted) > HEADER_ROOM:
        kept = kept * HEADER_ROOM // (len(quoted) + 1)
        quoted = quote(text[:kept], safe="")
    return quoted + quote(f"...[{len(text)} characters in all]", safe="")


@frozen
class Ids:
    """What names one request in its answer."""

    request_id: str
    trace_id: str | None


def make_ids(moment: datetime, *, trace: bool) -> Ids:
    """The next ids: an address, milliseconds and a number, as the platform composes them."""
    milliseconds = int(moment.timestamp() * 1000)
    request_id = f"0ba28873{milliseconds:013}{next(_numbers) % 10_000:04}"
    trace_id = f"21411b62{milliseconds:013}{os.urandom(4).hex()}" if trace else None
    return Ids(request_id, trace_id)
