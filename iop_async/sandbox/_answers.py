"""An HTTP answer before it is sent, and the ids that go into it."""

from __future__ import annotations

import json
import os
from datetime import datetime
from itertools import count
from typing import Any, Final

from attrs import frozen

JSON: Final = b"application/json;charset=UTF-8"
HTML: Final = b"text/html;charset=UTF-8"

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""

_numbers = count(1)


@frozen
class Answer:
    """What goes back over the wire.

    ``cut`` ends the connection instead: ``reset`` in the middle of the body, ``drop`` before the
    first byte.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    cut: str = ""


def json_answer(body: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """An answer as the gateways give it: status 200, JSON."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Answer(text.encode("utf-8", "replace"), headers=headers)


def html_answer(status: int, title: str, text: str) -> Answer:
    """A page of something in front of the gateway. Both texts are HTML."""
    page = _PAGE.format(title=title, text=text)
    return Answer(page.encode(), status, HTML)


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
