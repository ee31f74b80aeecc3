"""Read ``multipart/form-data`` as it comes: text is kept, files are only measured."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from attrs import define, field, frozen
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header


@frozen
class Upload:
    """The description of an uploaded file; its bytes are gone."""

    name: str
    filename: str
    content_type: str
    size: int
    sha256: str


async def read_multipart(
    content_type: bytes, chunks: AsyncIterator[bytes]
) -> tuple[dict[str, str], tuple[Upload, ...]]:
    """The text parts and the files of a body, as far as it can be read."""
    parts = _Parts()
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_end,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
            },
        )
        async for chunk in chunks:
            parser.write(chunk)
    except FormParserError:
        # Whoever wrote this body signed what cannot be read: the signature will tell.
        async for _ in chunks:
            pass
    return parts.params, tuple(parts.files)


@define
class _Parts:
    """Gathers what the parser finds, part by part."""

    params: dict[str, str] = field(factory=dict)
    files: list[Upload] = field(factory=list)
    _headers: dict[bytes, bytes] = field(factory=dict)
    _header: tuple[bytes, bytes] = (b"", b"")
    _name: str = ""
    _filename: str | None = None
    _text: bytearray = field(factory=bytearray)
    _hash: hashlib._Hash = field(factory=hashlib.sha256)
    _size: int = 0

    def begin(self) -> None:
        self._headers, self._header = {}, (b"", b"")
        self._name, self._filename = "", None
        self._text, self._hash, self._size = bytearray(), hashlib.sha256(), 0

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0] + data[start:end], b"")

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header = (self._header[0], self._header[1] + data[start:end])

    def header_end(self) -> None:
        name, value = self._header
        self._headers[name.lower()] = value
        self._header = (b"", b"")

    def headers_end(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition", b""))[1]
        self._name = _unquoted(options.get(b"name", b""))
        if b"filename" in options:
            self._filename = _unquoted(options[b"filename"])

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is None:
            self._text += data[start:end]
        else:
            self._size += end - start
            self._hash.update(memoryview(data)[start:end])

    def end(self) -> None:
        if self._filename is None:
            self.params[self._name] = self._text.decode("utf-8", "replace")
            return
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        digest = self._hash.hexdigest()
        self.files.append(Upload(self._name, self._filename, content_type, self._size, digest))


def _unquoted(name: bytes) -> str:
    """A name without the escapes that multipart senders use."""
    for escape, character in ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n")):
        name = name.replace(escape, character)
    return name.decode("utf-8", "replace")
