"""Files that are private, durable, and one process's at a time: made, locked, written line by line.

Files of lines survive a crash: what was there stays, whatever happens to the rest.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from time import monotonic, sleep
from typing import Final
from uuid import uuid4

from .._exceptions import StoreError

if sys.platform != "win32":
    import fcntl

_LOCK_TIMEOUT: Final = 10.0
"""Seconds to wait for another process that holds a file."""

_LOCK_MAX_PAUSE: Final = 0.005
"""Seconds between two looks at it."""


def create_private(path: Path) -> None:
    """An empty file that only this user can read, whatever the umask.

    Raises ``FileExistsError`` where there is one already.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)  # a umask may have taken the owner's rights too
    finally:
        os.close(descriptor)


def require_own(path: Path, *, is_only_name: bool = False) -> None:
    """Raises ``StoreError`` where others put the file there, or may write to it.

    What somebody else prepared could be read, changed or led elsewhere by him at any time.

    Args:
        is_only_name: a second name of the file is refused as well.
    """
    if not hasattr(os, "geteuid"):
        return
    status = path.stat()
    if {path.lstat().st_uid, status.st_uid} - {os.geteuid(), 0}:
        problem = "it belongs to another user"
    elif status.st_mode & stat.S_IWOTH:
        problem = "every user of this machine may write to it"
    elif is_only_name and status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        problem = "it has a second name, and may be something else"
    else:
        return
    msg = (
        f"{path} is not used: {problem}, and nothing was changed. Find out who put it there; have "
        "a file of this user there that no other may write to, or name another path"
    )
    raise StoreError(msg, retryable=False)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Windows knows no such thing, and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def try_out(path: Path) -> None:
    """Raises ``OSError`` or ``StoreError`` where the file could not be appended to, or replaced.

    A file that is not there is not made, and one that is there does not change.
    """
    if path.exists():
        with _held(path):
            pass
    probe = path.with_name(f".{path.name}.{uuid4().hex}")
    create_private(probe)
    try:
        with FileIO(probe, "r+") as file:
            _write(file, b"\n")  # a full disk refuses no name, only what is written
    finally:
        probe.unlink()


@contextmanager
def _held(path: Path) -> Iterator[FileIO]:
    """The file of that name, made if need be, with nobody else at work on it."""
    file = _opened(path)
    try:
        yield file
    finally:
        if not file.closed:
            _unlock(file)
            file.close()


def _opened(path: Path) -> FileIO:
    while True:
        with suppress(FileExistsError):
            create_private(path)
            sync_directory(path.parent)
        require_own(path, is_only_name=True)
        file = FileIO(path, "r+")
        try:
            _lock(file, path)
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


def _lock(file: FileIO, path: Path) -> None:
    """Hold an open file alone, also against other threads that opened it, until :func:`_unlock`.

    Raises:
        StoreError: somebody else held it for ten seconds.
    """
    if sys.platform == "win32":
        return
    until = monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= until:
                msg = (
                    f"{path}: another process kept the file locked for {_LOCK_TIMEOUT:.0f} s. Look "
                    "for one that hangs"
                )
                raise StoreError(msg) from None
            sleep(_LOCK_MAX_PAUSE)
        else:
            return


def _unlock(file: FileIO) -> None:
    """Let others have the file: closing would not, where a forked process has it open as well."""
    if sys.platform != "win32":
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
