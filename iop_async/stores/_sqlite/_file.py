"""The database file: made whole and private, recognised before it is touched.

No file descriptor of ours may be opened on a database: closing it would drop the locks that SQLite
holds on it in this process. What is to be known about one is asked of ``stat`` or of SQLite.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from ..._exceptions import StoreError
from .._files import create_private, sync_directory
from . import _schema
from ._errors import is_damage, store_error

_LOOKS: Final = 5
"""At a file that seems damaged, and has no log: processes may come and go meanwhile."""


def connect(path: Path, options: str) -> sqlite3.Connection:
    """A connection in autocommit mode that never waits for a lock by itself."""
    db = sqlite3.connect(
        f"{path.as_uri()}?{options}",
        uri=True,
        timeout=0,
        isolation_level=None,
        cached_statements=64,
    )
    # Decoded row by row: one text that is no UTF-8 would fail the statement, and every row with it.
    db.text_factory = bytes
    return db


def create(path: Path) -> None:
    """Put an empty store at ``path``, unless another process was first.

    It appears there complete, so that an empty or half written file is never one of ours.
    """
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    create_private(draft)
    try:
        with closing(connect(draft, "mode=rw")) as db:
            db.execute("PRAGMA synchronous = FULL")
            _schema.create(db)
            db.execute("PRAGMA journal_mode = WAL")
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_directory(path.parent)


def require_ours(path: Path) -> None:
    """Raises ``StoreError`` for a file that is no token store, which stays as it is."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "it is no regular file")
    if not status.st_size:
        raise _refusal(path, "it is empty, and one of ours never is")
    for looks_left in reversed(range(_LOOKS)):
        try:
            application_id = _application_id(path)
        except sqlite3.DatabaseError as exc:
            if not is_damage(exc):
                raise
            if exc.sqlite_errorcode == sqlite3.SQLITE_CORRUPT:
                if _has_log(path):
                    return  # what is missing from the file may be in its log
                if looks_left:
                    continue  # it was, and whoever closed the file last has put it there by now
            raise damaged(exc, path) from exc.with_traceback(None)
        if application_id != _schema.APPLICATION_ID:
            raise _refusal(path, "it is a database of another program")
        return


def _application_id(path: Path) -> int:
    """Read from the first page of the file; takes no lock and looks at no log."""
    with closing(connect(path, "mode=ro&immutable=1")) as db:
        return int(db.execute("PRAGMA application_id").fetchone()[0])


def _has_log(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"{path}-wal").stat().st_size > 0
    return False


def damaged(exc: sqlite3.Error, path: Path) -> StoreError:
    """The error for a damaged file, which is kept as it is under a second name."""
    error = store_error(exc, path)
    error.args = (f"{error}. {_keep_aside(path)}",)
    return error


def _refusal(path: Path, reason: str) -> StoreError:
    msg = (
        f"{path} is no token store: {reason}. Nothing was changed and no empty store is put in "
        "its place: restore a copy, or move it away to begin with an empty one"
    )
    return StoreError(msg, retryable=False)


def _keep_aside(path: Path) -> str:
    """Give a file that may hold the only copy of somebody's tokens a second name.

    It stays where it is as well, because the next start would find nothing there and begin anew.
    """
    kept = Path(f"{path}.corrupt")
    with suppress(OSError):
        if not kept.exists():
            os.link(path, kept)
            with suppress(FileNotFoundError):
                os.link(f"{path}-wal", f"{kept}-wal")
        if kept.samefile(path):
            return f"It is kept under the name {kept} too"
    return "Keep a copy of it"
