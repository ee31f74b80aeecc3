"""An answer on its way in: decoded as it comes, and never more of it than the limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Final

from .._exceptions import ProtocolError
from .._models import HttpResponse

KEPT: Final = 64 * 1024
"""Bytes of an unreadable answer that its error keeps."""


class Incoming:
    """Collects an answer.

    Args:
        headers: as received.
        limit: bytes accepted, both as received and decoded.
        decoded: what comes is decoded already, whatever the headers say.
    """

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        limit: int,
        *,
        decoded: bool = False,
    ) -> None:
        self._status = status
        self._headers = _text_headers(headers)
        self._limit = limit
        self._parts: list[bytes] = []
        self._received = self._size = 0
        self._complaint: str | None = None
        self._decoder: _Decoder | None = None
        encoding = self._headers.get("content-encoding")
        if encoding is not None and not decoded:
            self._choose_decoder(encoding.strip().lower())

    def _choose_decoder(self, encoding: str) -> None:
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._decoder = _Decoder()
        elif encoding not in ("", "identity"):
            self._complaint = f"encoded as {encoding!r}, which was not asked for"

    @property
    def unreadable(self) -> bool:
        """Whether the rest of the answer is of no use."""
        return self._complaint is not None

    def feed(self, chunk: bytes) -> None:
        """Take in the next chunk as received."""
        if self._complaint is not None:
            return
        self._received += len(chunk)
        if self._decoder is not None:
            try:
                chunk = self._decoder.feed(chunk, self._limit - self._size + 1)
            except zlib.error:
                self._complaint = "compressed, and corrupt"
                return
        self._size += len(chunk)
        if max(self._size, self._received) > self._limit:
            self._complaint = f"larger than {self._limit} bytes"
        else:
            self._parts.append(chunk)

    async def read(
        self, chunks: AsyncIterable[bytes], close: Callable[[], Awaitable[None]]
    ) -> None:
        """Feed all of ``chunks``, or as much as is of use."""
        try:
            async for chunk in chunks:
                self.feed(chunk)
                if self.unreadable:
                    # Closing makes the iteration fail at its source. Leaving the loop instead
                    # would leave the HTTP library's generators for the event loop to clean up.
                    await close()
        except Exception:
            if not self.unreadable:
                raise

    def response(self, where: Callable[[], str]) -> HttpResponse:
        """The answer, once it is all here.

        Args:
            where: what to call the request in a message.

        Raises:
            ProtocolError: the answer is too large, or its compression is broken.
        """
        if self._decoder is not None and self._received and not self._decoder.complete:
            self._complaint = self._complaint or "compressed, and cut short"
        if self._complaint is not None:
            raise ProtocolError(
                f"{where()}: HTTP {self._status}, an answer that is {self._complaint}",
                status=self._status,
                content=b"".join(self._parts)[:KEPT],
            )
        return HttpResponse(self._status, self._headers, b"".join(self._parts))


class _Decoder:
    """Undoes gzip and deflate, the latter with and without its zlib wrapping."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._started = False

    def feed(self, chunk: bytes, most: int) -> bytes:
        """What the chunk decodes to, cut at ``most`` bytes."""
        if self._inflate.eof:
            return b""
        try:
            data = self._inflate.decompress(chunk, most)
        except zlib.error:
            if self._started:
                raise
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            data = self._inflate.decompress(chunk, most)
        self._started = True
        return data

    @property
    def complete(self) -> bool:
        return self._inflate.eof


def _text_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        texts[name] = f"{texts[name]}, {value}" if name in texts else value
    return texts
