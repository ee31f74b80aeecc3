"""Compressed answers, decoded as they come; of a broken one, all that stands before the break."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

_GZIP: Final = b"\x1f\x8b"
"""The first bytes of a gzip member."""


class CorruptData(Exception):
    """What came is not compressed, or corrupt.

    Attributes:
        data: what the chunk decodes to before the corruption.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data


class Decoder:
    """Undoes gzip, of any number of members, and deflate, with and without its zlib wrapping.

    Args:
        may_be_bare: the data may have no wrapping at all, as some servers understand "deflate".

    Attributes:
        is_bare: it has none, so that only the end tells whether it was compressed data at all.
    """

    def __init__(self, *, may_be_bare: bool = False) -> None:
        self._may_be_bare = may_be_bare
        self.is_bare = False
        self._inflate = _any_wrapping()
        self._started = False
        self._between = b""

    def feed(self, chunk: bytes, most: int) -> bytes:
        """The chunk decoded, cut at ``most`` bytes. Raises :class:`CorruptData`."""
        data = b""
        while chunk and len(data) < most:
            if self._inflate.eof:
                chunk = self._next_member(chunk)
                if not chunk:
                    break
            try:
                data += self._decode(chunk, most - len(data))
            except CorruptData as corrupt:
                raise CorruptData(data + corrupt.data) from None
            chunk = self._inflate.unused_data
        return data

    def pieces(self, chunk: bytes, most: int) -> Iterator[bytes]:
        """All of the chunk decoded, ``most`` bytes at a time. Raises :class:`CorruptData`."""
        has_more = False  # within zlib, although it has taken in all
        while chunk or has_more:
            if self._inflate.eof:
                chunk = self._next_member(chunk)
                if not chunk:
                    return
            data = self._decode(chunk, most)
            chunk = self._inflate.unused_data or self._inflate.unconsumed_tail
            has_more = len(data) == most and not self._inflate.eof
            if data:
                yield data

    def _next_member(self, chunk: bytes) -> bytes:
        """The chunk from the next member on. What else follows the data is padding."""
        chunk = (self._between + chunk).lstrip(b"\0")
        if chunk.startswith(_GZIP):
            self._inflate, self._between = _any_wrapping(), b""
            return chunk
        # one byte of the two may be all that is here yet
        self._between = chunk if chunk in (b"", _GZIP[:1]) else b"no gzip"
        return b""

    def _decode(self, chunk: bytes, most: int) -> bytes:
        before = self._inflate.copy()
        try:
            data = self._inflate.decompress(chunk, most)
        except zlib.error:
            wrapped = _salvage(before, chunk, most)
            if wrapped or self._started or not self._may_be_bare:
                raise CorruptData(wrapped) from None
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            self._started = self.is_bare = True
            return self._decode(chunk, most)
        self._started = True
        return data

    @property
    def complete(self) -> bool:
        """The compressed data came to its end."""
        return self._inflate.eof


def _any_wrapping() -> zlib._Decompress:
    return zlib.decompressobj(zlib.MAX_WBITS | 32)


def _salvage(inflate: zlib._Decompress, chunk: bytes, most: int) -> bytes:
    """All that decodes before the corruption, found by halving: zlib tells nothing of it."""
    data = b""
    step = 1 << len(chunk).bit_length()
    while (step := step // 2) and len(data) < most:
        before = inflate.copy()
        try:
            data += inflate.decompress(chunk[:step], most - len(data))
            chunk = chunk[step:]
        except zlib.error:
            inflate = before
    return data
