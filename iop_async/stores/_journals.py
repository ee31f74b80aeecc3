"""Files of lines that survive a crash: what was there stays, whatever happens to the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from uuid import uuid4

from ._files import create_private, sync_directory
from ._locks import lock, unlock


def append(path: Path, line: bytes) -> None:
    """Add a line to the file, which is made if need be; it is on the disk on return."""
    with _held(path) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                line = b"\n" + line  # the last line was torn; this one must not become part of it
        try:
            _write(file, line + b"\n")
        except OSError:
            with suppress(OSError):  # if this fails too, the next one closes the torn line off
                file.truncate(size)
            raise


def read_lines(path: Path) -> list[bytes]:
    """The lines that are not empty, without their ends."""
    if not path.exists():
        return []
    with _held(path) as file:
        return _lines(file)


def replace(path: Path, choose: Callable[[list[bytes]], list[bytes]]) -> None:
    """Keep the lines that ``choose`` keeps: all of the change happens, or none of it."""
    if not path.exists():
        return
    with _held(path) as file:
        lines = _lines(file)
        kept = choose(lines)
        if not kept:
            file.truncate(0)
            os.fsync(file.fileno())
        elif kept != lines:
            _put_in_place(path, b"\n".join([*kept, b""]), instead_of=file)


def _put_in_place(path: Path, content: bytes, *, instead_of: FileIO) -> None:
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    create_private(draft)
    try:
        with FileIO(draft, "r+") as file:
            _write(file, content)
        if sys.platform == "win32":
            instead_of.close()  # Windows does not replace an open file
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise
    sync_directory(path.parent)


@contextmanager
def _held(path: Path) -> Iterator[FileIO]:
    """The file of that name, made if need be, with nobody else at work on it."""
    file = _opened(path)
    try:
        yield file
    finally:
        if not file.closed:
            unlock(file)
            file.close()


def _opened(path: Path) -> FileIO:
    while True:
        with suppress(FileExistsError):
            create_private(path)
            sync_directory(path.parent)
        file = FileIO(path, "r+")
        try:
            lock(file, path)
            # another process may have put a new file in its place while this one waited
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            file.close()
            raise
        file.close()


def _lines(file: FileIO) -> list[bytes]:
    return [line for line in file.readall().split(b"\n") if line]


def _write(file: FileIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) or 0 :]
    os.fsync(file.fileno())
