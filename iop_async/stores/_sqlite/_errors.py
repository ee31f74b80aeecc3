"""Errors of SQLite and of the file system become ours here, and nowhere else."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from ..._exceptions import StoreError


@frozen
class _Rule:
    words: str
    is_passing: bool = True


_DAMAGED: Final = _Rule(
    "the file is damaged or no token store. Nothing was changed and no empty store is put in its "
    "place: restore a copy, or move it away to begin with an empty one",
    is_passing=False,
)
_UNREACHABLE: Final = _Rule(
    "the file cannot be read or written, so nothing was changed. Look at its disk, its directory "
    "and their permissions"
)

_READ_ONLY: Final = _Rule(
    "the file or its file system is read-only; what is there is intact. Make it writable for "
    "this user, and the store works again"
)

# by primary result code
_RULES: Final[Mapping[int, _Rule]] = {
    sqlite3.SQLITE_BUSY: _Rule(
        "another process kept the file locked for too long, so nothing was changed. Look for one "
        "that hangs in the middle of a transaction"
    ),
    sqlite3.SQLITE_FULL: _Rule(
        "the disk is full; what was there before is intact. Make room, and the store works again"
    ),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_IOERR: _UNREACHABLE,
    sqlite3.SQLITE_CANTOPEN: _UNREACHABLE,
    sqlite3.SQLITE_PERM: _UNREACHABLE,
    sqlite3.SQLITE_ERROR: _Rule(
        "its tables are not those of a token store, so nothing was changed. Find out what changed "
        "them, and restore a copy",
        is_passing=False,
    ),
    sqlite3.SQLITE_TOOBIG: _Rule("the record is too large; it was not written", is_passing=False),
}
_UNKNOWN: Final = _Rule("the database failed, and nothing was changed")


def primary_code(exc: sqlite3.Error) -> int | None:
    """SQLite's result code without its details; ``None`` for an error of the Python module."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(exc: sqlite3.Error) -> bool:
    """True where somebody else is at work, so that the same may succeed in a moment."""
    return primary_code(exc) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(exc: sqlite3.Error) -> bool:
    """True where the file is not what it should be."""
    return primary_code(exc) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def store_error(exc: Exception, path: Path) -> StoreError:
    """A new error to give to one caller; ``exc`` is its cause, without frames.

    The frames of an operation hold the bodies of records in their locals.
    """
    if isinstance(exc, StoreError):
        error = type(exc)(str(exc), retryable=exc.retryable)
        error.__cause__ = exc.__cause__
        return error
    if isinstance(exc, sqlite3.Error):
        rule = _RULES.get(primary_code(exc) or 0, _UNKNOWN)
        reason = str(exc)
    else:
        rule = _UNREACHABLE
        reason = (isinstance(exc, OSError) and exc.strerror) or type(exc).__name__
    if rule is _UNREACHABLE and _is_mounted_read_only(path):
        rule = _READ_ONLY  # where there is no -shm beside it, SQLite cannot say so itself
    error = StoreError(f"{path}: {rule.words} ({reason})", retryable=rule.is_passing)
    error.__cause__ = exc.with_traceback(None)
    exc.__context__ = None
    return error


def _is_mounted_read_only(path: Path) -> bool:
    if not hasattr(os, "statvfs"):
        return False
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False
