"""Where downloads go: new files, that are there once they are whole, and open ones.

Nothing here is for the event loop's thread, but to make a target and to ask what became of it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import Any, BinaryIO, TypeVar

import anyio
from anyio import to_thread

T = TypeVar("T")


class TargetBroken(Exception):
    """A target takes no more; its cause says why. No failure of the network."""


class Target:
    """What a download is written to, by one thread at a time.

    Attributes:
        written: bytes so far.
    """

    may_hang = False
    """A write may wait for ever, so that its thread is left behind where nobody waits any more."""

    def __init__(self) -> None:
        self.written = 0
        self._file: BinaryIO | None = None
        self._lock = Lock()
        self._is_over = False

    @staticmethod
    def of(to: Any) -> Target:
        """Raises ``TypeError`` for what can be none."""
        if isinstance(to, io.TextIOBase):
            msg = "the file is open in text mode; open it with mode 'wb'"
            raise TypeError(msg)
        if isinstance(to, str | os.PathLike):
            return _NewFile(Path(to))
        if hasattr(to, "write"):
            return _OpenFile(to)
        msg = f"a download goes to a path or an open binary file, not to {type(to).__name__}"
        raise TypeError(msg)

    @property
    def is_untouched(self) -> bool:
        """It is as it was, as far as anybody can see."""
        return not self.written

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Do something with the target, in a thread."""
        return await to_thread.run_sync(function, *args, abandon_on_cancel=self.may_hang)

    def open(self) -> None:
        """Raises ``OSError``, ``TypeError`` or ``ValueError`` where nothing can be written."""
        with self._lock:
            if not self._is_over:  # by a task that was cancelled while this thread went on
                self._file = self._open()

    def write(self, data: bytes) -> None:
        """Write a piece of it. Raises :class:`TargetBroken`."""
        with self._lock:
            if self._file is None or self._is_over:
                raise TargetBroken
            try:
                _write_all(self._file, data)
            except Exception as error:  # noqa: BLE001 - whatever a file of the user's raises
                raise TargetBroken from self._named(error)
            self.written += len(data)

    def finish(self) -> None:
        """It is whole. Raises what the file raises."""
        with self._lock:
            if self._file is None:
                return
            try:
                self._finish(self._file)
            except Exception as error:  # noqa: BLE001 - as above
                raise self._named(error) from None
            self._file = None

    async def undo(self) -> None:
        """It will not become whole: leave nothing behind. Not interrupted by a cancellation."""
        self._is_over = True
        if not self.may_hang:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._undo_once)

    def _undo_once(self) -> None:
        with self._lock:
            if self._file is not None:
                with suppress(OSError, ValueError):  # it may be closed by now
                    self._undo(self._file)
                self._file = None

    def _named(self, error: Exception) -> Exception:
        return error

    def _open(self) -> BinaryIO:
        raise NotImplementedError

    def _finish(self, file: BinaryIO) -> None:
        raise NotImplementedError

    def _undo(self, file: BinaryIO) -> None:
        raise NotImplementedError


class _NewFile(Target):
    """A path, which gets a file once that is whole; until then it has another name beside it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._part = path.with_name(f".{token_hex(8)}.part") if path.name else path

    @property
    def is_untouched(self) -> bool:
        return True

    def _open(self) -> BinaryIO:
        if os.path.lexists(self._path):
            mode = self._path.stat().st_mode if self._path.exists() else stat.S_IFREG
            if stat.S_ISDIR(mode):
                words = f"{os.strerror(errno.EISDIR)}; nothing was sent"
                raise IsADirectoryError(errno.EISDIR, words, str(self._path))
            if not stat.S_ISREG(mode):
                msg = f"{str(self._path)!r} is no plain file; open it, and give the open file"
                raise ValueError(msg)
        try:
            return self._part.open("xb")
        except OSError as error:
            words = f"{error.strerror}; nothing was sent"
            raise OSError(error.errno, words, str(self._path)) from None

    def _finish(self, file: BinaryIO) -> None:
        file.close()
        self._part.replace(self._path)

    def _undo(self, file: BinaryIO) -> None:
        try:
            file.close()  # which writes what is in its buffer, where there is room
        finally:
            self._part.unlink(missing_ok=True)

    def _named(self, error: Exception) -> Exception:
        if isinstance(error, OSError) and error.errno:
            return OSError(error.errno, error.strerror, str(self._path))
        return error


class _OpenFile(Target):
    """A file of the user's, written to from where it stands, and set back where that fails."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._given = file
        self._start = self._end = 0
        is_closed = getattr(file, "closed", False)
        self.may_hang = is_closed or not (hasattr(file, "seekable") and file.seekable())

    @property
    def is_untouched(self) -> bool:
        return not (self.may_hang and self.written)

    def _open(self) -> BinaryIO:
        file = self._given
        try:
            file.write(b"")
        except TypeError:
            msg = "the file is open in text mode; open it with mode 'wb'"
            raise TypeError(msg) from None
        except io.UnsupportedOperation:
            msg = "the file is open for reading only; open it with mode 'wb'"
            raise ValueError(msg) from None
        if not self.may_hang:
            self._start = file.tell()
            self._end = max(file.seek(0, io.SEEK_END), self._start)
            file.seek(self._start)
        return file

    def _finish(self, file: BinaryIO) -> None:
        if hasattr(file, "flush"):
            file.flush()

    def _undo(self, file: BinaryIO) -> None:
        file.seek(self._start)
        file.truncate(self._end)


def _write_all(file: BinaryIO, data: bytes) -> None:
    written: int | None = file.write(data)
    if not isinstance(file, io.RawIOBase):
        return
    rest = memoryview(data)
    while True:
        if written is None:
            msg = "the file does not wait until it can be written to; open it so that it does"
            raise BlockingIOError(msg)
        rest = rest[written:]
        if not rest:
            return
        written = file.write(rest)
