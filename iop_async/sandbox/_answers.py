"""A refusal, its rendering by a dialect, and the HTTP answer with the ids that go into it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from attrs import define, evolve, field, frozen

from ..signers import STRING_TO_SIGN_HEADER
from ._signatures import Mistake

# assumed: no source shows the header.
JSON: Final = b"application/json;charset=UTF-8"
HTML: Final = b"text/html;charset=UTF-8"

MAX_HEADER_VALUE: Final = 8_000
"""Bytes of a header that shows a string to sign; HTTP parsers refuse much longer ones."""

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]
Write: TypeAlias = Callable[[Mapping[str, Any]], bytes]

_MAX_NAME = 120
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""

_numbers = count(1)


@define(eq=False)
class Refusal(Exception):
    """The refusal of a call by the gateway, or by the business behind it; dialects render it.

    Args:
        code: a reason, named as IOP names it, or a code of the dialect at hand.
        message, type, sub_code, sub_message: other words than the dialect's own.
        about: the parameter; the reason why a token is not good; the owner of a limit; a hint.
        seconds: time left of a ban.
        string_to_sign: the text that the sandbox signed, for a wrong signature; ``mistake`` says
            what the client did.

    Example::

        from iop_async.sandbox import Refusal

        def stock(params):
            if params["sku"] != "A1":
                raise Refusal("SKU_NOT_FOUND", "no such sku")
            return {"quantity": 7}

        sandbox.answer("/stock/get", stock)
    """

    code: str
    message: str | None = None
    type: str | None = field(default=None, kw_only=True)
    sub_code: str | None = field(default=None, kw_only=True)
    sub_message: str | None = field(default=None, kw_only=True)
    about: str = field(default="", kw_only=True)
    seconds: int | None = field(default=None, kw_only=True)
    string_to_sign: str | None = field(default=None, kw_only=True)
    mistake: Mistake | None = field(default=None, kw_only=True)


def missing(name: str) -> Refusal:
    """The refusal of a call that lacks a parameter."""
    return Refusal("MissingParameter", about=name)


def unknown_api(name: str) -> Refusal:
    """The refusal of a call of an API that the sandbox neither has nor was taught."""
    # observed: AliExpress answers InvalidApiPath to an unknown dotted name.
    code = "InvalidApi" if "/" in name else "InvalidApiPath"
    shown = name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}..."
    hint = f"the sandbox does not know {shown!r}; teach it with sandbox.answer({shown!r}, data)"
    return Refusal(code, about=hint)


@frozen
class RenderedError:
    """A refusal in the words of a dialect."""

    code: str
    message: str
    type: str = ""
    sub_code: str | None = None
    sub_message: str | None = None
    string_to_sign: str | None = None


@frozen
class Answer:
    """An HTTP answer before it is sent.

    Attributes:
        abort: ends the connection instead: ``reset`` in the middle of the body, ``drop`` before
            the first byte.
        fields, write: the members of the answer, without its wrapper, and how they become a body;
            none of both where the body is nothing that a gateway says.
    """

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = ()
    abort: str = ""
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
    """An answer as the gateways give it.

    Its status is 200, errors included: observed on IOP and TOP alike.
    """
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


def string_to_sign_headers(error: RenderedError) -> Headers:
    """The header that shows what the sandbox signed, where a signature was wrong."""
    if error.string_to_sign is None:
        return ()
    return ((STRING_TO_SIGN_HEADER.encode(), _header_value(error.string_to_sign).encode()),)


def _header_value(text: str) -> str:
    """Percent-encoded UTF-8; of a text that has no room, the beginning and its length."""
    quoted = quote(text[:MAX_HEADER_VALUE], safe="")
    if len(quoted) <= MAX_HEADER_VALUE and len(text) <= MAX_HEADER_VALUE:
        return quoted
    kept = MAX_HEADER_VALUE
    while len(quoted) > MAX_HEADER_VALUE:
        kept = kept * MAX_HEADER_VALUE // (len(quoted) + 1)
        quoted = quote(text[:kept], safe="")
    return quoted + quote(f"...[{len(text)} characters in all]", safe="")


@frozen
class Ids:
    """The names that an answer gives its request."""

    request_id: str
    trace_id: str | None


def make_ids(moment: datetime, *, trace: bool) -> Ids:
    """The next ids."""
    milliseconds = int(moment.timestamp() * 1000)
    # observed: in every live answer; an address in hex, milliseconds, a number that counts.
    request_id = f"0ba28873{milliseconds:013}{next(_numbers) % 10_000:04}"
    trace_id = f"21411b62{milliseconds:013}{os.urandom(4).hex()}" if trace else None
    return Ids(request_id, trace_id)
