"""Form and multipart encodings of parameters that are text already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus

from .._models import Call, File, FileContent, HttpRequest

MAX_QUERY: Final = 2_000
"""Longest query sent with GET; a gateway answers 414 somewhere above it."""

_FORM = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}
_unclear = re.compile(r'["\r\n]|%22|%0[AD]', re.IGNORECASE).search
_is_safe = re.compile(r"[\w.-]*", re.ASCII).fullmatch


def urlencode(params: Mapping[str, str]) -> str:
    """As :func:`urllib.parse.urlencode`, faster: most values are safe as they are."""
    return "&".join(
        [
            f"{name if _is_safe(name) else quote_plus(name)}"
            f"={value if _is_safe(value) else quote_plus(value)}"
            for name, value in params.items()
        ]
    )


def require_disjoint(system: Mapping[str, str], params: Mapping[str, str]) -> None:
    """Raises ``ValueError`` where a caller sets what the dialect sets itself."""
    if taken := (system.keys() | {"sign"}) & params.keys():
        msg = f"the gateway sets {', '.join(sorted(taken))} itself; leave it out of params"
        raise ValueError(msg)


def multipart(
    params: Mapping[str, str], files: Mapping[str, File], boundary: str
) -> tuple[FileContent, ...]:
    """The pieces of a ``multipart/form-data`` body, files unread.

    Raises:
        ValueError: a name that such a body cannot hold, or that a reader would take for another.
    """
    for name in (*params, *files):
        if _unclear(name):
            msg = (
                f"{name!r} cannot name a part of an upload: it has a quote, a line end or its code"
            )
            raise ValueError(msg)
    pieces: list[FileContent] = []
    text = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in params.items()
    ]
    for name, file in files.items():
        text.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; '
            f'filename="{_quoted(file.filename)}"\r\n'
            f"Content-Type: {_quoted(file.content_type)}\r\n\r\n"
        )
        pieces += ["".join(text).encode(), file.content]
        text = ["\r\n"]
    return (*pieces, f"{''.join(text)}--{boundary}--\r\n".encode())


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def request(
    url: str, call: Call, *, query: Mapping[str, str], body: Mapping[str, str], boundary: str
) -> HttpRequest:
    """Put signed parameters on the wire: ``query`` in the URL, ``body`` where the method has it.

    A call with files is a multipart POST. One whose query would grow beyond :data:`MAX_QUERY` is
    a POST with a form. ``boundary`` is text that no part holds; a signature is.
    """
    url = f"{url}?{urlencode(query)}" if query else url
    if call.files:
        content_type = f"multipart/form-data; boundary={boundary}"
        pieces = multipart(body, call.files, boundary)
        return HttpRequest("POST", url, {"content-type": content_type}, pieces)
    form = urlencode(body)
    if call.http_method == "GET" and len(form) <= MAX_QUERY:
        return HttpRequest("GET", f"{url}{'&' if query else '?'}{form}" if form else url)
    return HttpRequest("POST", url, _FORM, form.encode())
