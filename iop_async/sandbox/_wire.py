"""Read a request: parameters from query, form, multipart or JSON, in any mix, files unkept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from attrs import field, frozen
from starlette.types import Message, Receive, Scope

from ._multipart import Upload, read_multipart

# observed: 414 for a query of more than 8 kB.
MAX_QUERY: Final = 8 * 1024


class Disconnected(Exception):
    """The client left before its request was complete."""


@frozen
class GatewayRequest:
    """A request, taken apart.

    Attributes:
        path: of the URL, decoded.
        params: union of the query's and the body's; the body wins.
        files: uploads, measured and forgotten.
        body: a body of a type that holds no parameters.
        client: address of the caller.
        http_method: with which it came.
    """

    path: str
    params: dict[str, str]
    files: tuple[Upload, ...] = ()
    body: bytes = b""
    client: str | None = None
    http_method: str = "POST"
    _headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)

    def header(self, name: bytes) -> bytes:
        """A header by its name in lower case; empty where it was not sent."""
        return _header(self._headers, name)


async def read_request(scope: Scope, receive: Receive, *, json_params: bool) -> GatewayRequest:
    """Read a request to its end. Raises :class:`Disconnected`.

    Args:
        json_params: a JSON body holds parameters.
    """
    params = parse_query(scope["query_string"]) if scope["query_string"] else {}
    client = scope["client"][0] if scope.get("client") else None
    content_type = _header(scope["headers"], b"content-type")
    kind = content_type.partition(b";")[0].strip().lower()
    files: tuple[Upload, ...] = ()
    body = b""
    if kind == b"multipart/form-data":
        more, files = await read_multipart(content_type, _chunks(receive))
        params |= more
    else:
        body = b"".join([chunk async for chunk in _chunks(receive)])
        if kind == b"application/x-www-form-urlencoded":
            params |= parse_query(body)
            body = b""
        elif kind == b"application/json" and json_params:
            params |= _json(body)
            body = b""
    return GatewayRequest(
        scope["path"], params, files, body, client, scope["method"], scope["headers"]
    )


def _header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    for key, value in headers:
        if key == name:
            return bytes(value)
    return b""


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        if chunk := message.get("body", b""):
            yield chunk
        more = message.get("more_body", False)


def parse_query(text: bytes) -> dict[str, str]:
    """The parameters in a query or a form, blank ones included."""
    return dict(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True))


def _json(body: bytes) -> dict[str, str]:
    """A flat object; numbers keep their digits, and ``null`` is not there."""
    try:
        members = json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(members, dict):
        return {}
    return {
        _without_surrogates(name): _text(value)
        for name, value in members.items()
        if value is not None
    }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return _without_surrogates(value)


def _without_surrogates(text: str) -> str:
    """Text without halves of surrogate pairs, which JSON can write and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
