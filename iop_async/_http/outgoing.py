"""A request on its way out: where it goes, its headers, its content."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, cast
from urllib.parse import urlsplit

from attrs import define, field

from .._models import HttpRequest
from .streams import Upload

_URL = re.compile(r"(https?://[^/?#\s@]+)([/?][!\"$-~]*)?", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}


@define(eq=False)
class Outgoing:
    """A request ready for the wire.

    Attributes:
        base: ``https://host:port``.
        target: path and query, byte for byte as signed.
        limit: bytes of answer accepted.
        begun: whether any of it may have been sent.
    """

    method: str
    base: str
    target: bytes = field(repr=False)
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    content: bytes | Upload = field(repr=False)
    limit: int
    begun: bool = True

    @property
    def where(self) -> str:
        """What to call the request in a message: no query, so no secrets."""
        return f"{self.method} {self.base}{self.target.partition(b'?')[0].decode()}"


def prepare(
    request: HttpRequest, upload: Upload | None, *, user_agent: bytes, limit: int
) -> Outgoing:
    """Make a request ready for the wire.

    Args:
        upload: its body, where that is more than a few bytes.
        limit: bytes of answer accepted.

    Raises:
        ValueError: the URL is not one that can be sent as it is.
    """
    match = _URL.fullmatch(request.url)
    if match is None:
        msg = "the URL is not http or https, or not ASCII; percent-encode what is not"
        raise ValueError(msg)
    base, host = _address(match[1])
    headers = {b"host": host, b"user-agent": user_agent, b"accept-encoding": b"gzip"}
    for name, value in request.headers.items():
        headers[name.lower().encode("ascii")] = value.encode("latin-1")
    length = len(request.body) if upload is None else upload.length
    if length is None:
        headers[b"transfer-encoding"] = b"chunked"
    elif length or request.method != "GET":
        headers[b"content-length"] = b"%d" % length
    return Outgoing(
        request.method,
        base,
        _target(match[2]),
        list(headers.items()),
        cast("bytes", request.body) if upload is None else upload,
        limit,
    )


@lru_cache(maxsize=64)
def _address(base: str) -> tuple[str, bytes]:
    """``https://host:port`` in its normal form, and the ``Host`` header that goes with it."""
    parts = urlsplit(base)
    host = (parts.hostname or "").encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    default = _PORTS[parts.scheme]
    port = parts.port or default
    header = host if port == default else f"{host}:{port}"
    return f"{parts.scheme}://{host}:{port}", header.encode()


def _target(path_and_query: str | None) -> bytes:
    target = (path_and_query or "/").encode("ascii")
    return target if target.startswith(b"/") else b"/" + target
