"""The texts that the bytes of an answer may be."""

from __future__ import annotations

import html
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

LONGEST: Final = 2**20
"""Bytes looked at; what is longer was no token's answer."""

_HTML_QUOTES = ("&quot;", "&#34;", "&#x22;")
_GZIP = b"\x1f\x8b"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_CHUNK = 256
_LONGEST_TEXT = 2**16
_MAX_MEMBERS = 64
_ESCAPED_BYTE = re.compile(rb"\\x([0-9a-f]{2})")
"""As ``bytes.decode(errors="backslashreplace")`` writes what it cannot read."""


def texts_in(content: bytes | str) -> Iterator[str]:
    """The readings of an answer, the most faithful first."""
    if isinstance(content, str):
        content = content[:_LONGEST_TEXT]
        yield from _readings(content)
        raw = content.encode("utf-8", "replace")
        content = _ESCAPED_BYTE.sub(lambda code: bytes([int(code[1], 16)]), raw)
        if content == raw and b"\0" not in raw:
            return
    yield from _readings(_decoded(_unpacked(content[:LONGEST])))


def _readings(text: str) -> Iterator[str]:
    yield text
    # assumed: a page around the answer, or a proxy, that wrote its quotes as HTML does.
    if len(text) <= _LONGEST_TEXT and any(quote in text for quote in _HTML_QUOTES):
        yield html.unescape(text)


def _decoded(content: bytes) -> str:
    encoding = json.detect_encoding(content)
    text = content.decode(encoding, "replace")
    bad = text.count("\ufffd")
    if bad and encoding.startswith("utf-8"):
        # observed: shop names in GBK, whose second bytes may look like a backslash. Text with more
        # good characters than bad ones is UTF-8 that was spoiled.
        good = len(text) - len(text.encode("ascii", "ignore")) - bad
        with suppress(UnicodeDecodeError):
            return text if good > bad else content.decode("gb18030")
    return text


def _unpacked(content: bytes) -> bytes:
    """The content of a compressed answer, its checksums left alone; any other as it is."""
    parts: list[bytes] = []
    size = 0
    rest = content
    while len(parts) < _MAX_MEMBERS and (rest[:2] == _GZIP or rest[:2] in _ZLIB):
        header = _gzip_header(rest) if rest[:2] == _GZIP else 2
        data, rest = _inflated(rest[header:], LONGEST - size, trailer=8 if rest[:2] == _GZIP else 4)
        parts.append(data)
        size += len(data)
        if not data or size >= LONGEST:
            break
    return b"".join(parts) or content


def _inflated(packed: bytes, most: int, *, trailer: int) -> tuple[bytes, bytes]:
    """As much as can be had of a raw deflate stream, and the bytes that follow it."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    for start in range(0, len(packed), _CHUNK):
        chunk = packed[start : start + _CHUNK]
        try:
            parts.append(inflate.decompress(chunk, most))
        except zlib.error:
            break
        most -= len(parts[-1])
        if inflate.eof:
            consumed = start + len(chunk) - len(inflate.unused_data)
            return b"".join(parts), packed[consumed + trailer :]
        if most <= 0:
            break
    return b"".join(parts), b""


def _gzip_header(packed: bytes) -> int:
    """The length of a gzip header (RFC 1952)."""
    flags, length = (packed[3] if len(packed) > 3 else 0), 10
    if flags & 4:
        length += 2 + int.from_bytes(packed[length : length + 2], "little")
    for flag in (8, 16):
        if flags & flag:
            length = packed.find(b"\0", length) + 1 or len(packed)
    return length + (2 if flags & 2 else 0)
