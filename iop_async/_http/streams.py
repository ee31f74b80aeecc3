"""Bodies streamed out of where they are: bytes, paths and open files, never read as a whole."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

from anyio import to_thread
from attrs import define, field

from .._wire import Body, FileContent

CHUNK_BYTES: Final = 256 * 1024
"""Bytes that are read and sent at a time; the write timeout is for one of these."""

CLOSE_TIMEOUT: Final = 2.0
"""Seconds that a closing which nothing can interrupt may take."""


class UploadBroken(Exception):
    """A file cannot be read on, or no longer has the length that was announced."""


class Upload:
    """A body that is sent in chunks: iterate it once, then :meth:`close` it.

    No async generator, for the reason that ``Chunks`` is none.

    Attributes:
        length: bytes in all; ``None`` where a file can only be read to its end.
    """

    def __init__(self) -> None:
        self.length: int | None = 0
        self._pieces: list[_Piece] = []
        self._chunks: Iterator[bytes] = iter(())
        self._in_memory = True
        self._closed = False

    @classmethod
    async def open(cls, body: Body) -> Self:
        """Open and measure every file, so that nothing is sent where one is missing.

        Raises:
            OSError: a file cannot be opened.
            TypeError: a file is open in text mode.
        """
        upload = cls()
        contents = (body,) if isinstance(body, bytes) else body
        upload._in_memory = all(isinstance(content, bytes) for content in contents)
        try:
            if upload._in_memory:
                upload._open(contents)
            else:
                await to_thread.run_sync(upload._open, contents)
        except BaseException:
            upload.close()
            raise
        return upload

    def _open(self, contents: Iterable[FileContent]) -> None:
        for content in contents:
            self._pieces.append(_piece(content))
        if self._closed:  # by a task that was cancelled while this thread went on
            self.close()
        sizes = [piece.size for piece in self._pieces]
        self.length = None if None in sizes else sum(filter(None, sizes))
        self._chunks = _chunks(self._pieces)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._in_memory:
            chunk = next(self._chunks, None)
        else:
            # Only what is no plain file can keep a read waiting: then the thread is left behind.
            may_hang = self.length is None
            chunk = await to_thread.run_sync(next, self._chunks, None, abandon_on_cancel=may_hang)
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Close the files opened here; set the user's back, so that the call can be repeated."""
        self._closed = True
        for piece in self._pieces:
            if isinstance(piece.content, bytes):
                continue
            if piece.owned:
                piece.content.close()
            elif piece.start is not None:
                with suppress(OSError, ValueError):  # it may be closed by now
                    piece.content.seek(piece.start)


@define(eq=False)
class _Piece:
    content: bytes | BinaryIO = field(repr=False)
    size: int | None
    name: str = ""
    start: int | None = None
    owned: bool = False


def _piece(content: FileContent) -> _Piece:
    if isinstance(content, bytes):
        return _Piece(content, len(content))
    if isinstance(content, os.PathLike):
        return _open_path(Path(content))
    if not isinstance(content.read(0), bytes):
        msg = "the file is open in text mode; open it with mode 'rb'"
        raise TypeError(msg)
    name = f"the file {getattr(content, 'name', '')!r}"
    if not (hasattr(content, "seekable") and content.seekable()):
        return _Piece(content, None, name)
    start = content.tell()
    end = content.seek(0, io.SEEK_END)
    content.seek(start)
    return _Piece(content, max(0, end - start), name, start)


def _open_path(path: Path) -> _Piece:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        words = f"{error.strerror}; nothing was sent"
        raise OSError(error.errno, words, str(path)) from None
    status = os.fstat(file.fileno())
    name = f"the file {str(path)!r}"
    if stat.S_ISREG(status.st_mode):
        return _Piece(io.BufferedReader(file), status.st_size, name, owned=True)
    # No buffer here: its lock would make closing wait for a read that waits for ever.
    return _Piece(file, None, name, owned=True)


def _chunks(pieces: Iterable[_Piece]) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece.content, bytes):
            for start in range(0, len(piece.content), CHUNK_BYTES):
                yield piece.content[start : start + CHUNK_BYTES]
        else:
            yield from _file_chunks(piece.content, piece.name, piece.size)


def _file_chunks(file: BinaryIO, name: str, size: int | None) -> Iterator[bytes]:
    sent = 0
    while chunk := _read(
        file, name, CHUNK_BYTES if size is None else min(CHUNK_BYTES, size - sent)
    ):
        sent += len(chunk)
        yield chunk
    if size is not None and sent < size:
        msg = f"{name} became {size - sent} bytes shorter while it was sent"
        raise UploadBroken(msg)
    if size is not None and _read(file, name, 1):
        msg = f"{name} became longer while it was sent"
        raise UploadBroken(msg)


def _read(file: BinaryIO, name: str, size: int) -> bytes:
    try:
        return file.read(size)
    except (OSError, ValueError) as error:
        msg = f"{name} could not be read on: {error}"
        raise UploadBroken(msg) from error
