"""Connections that each belong to one thread, and how jobs are done with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import uniform
from time import monotonic, sleep
from typing import Any, Final, TypeAlias, TypeVar

from ..._exceptions import StoreError
from .._files import require_own
from .._worker import Job
from . import _file, _schema
from ._errors import is_busy, is_damage, store_error

T = TypeVar("T")
SqliteJob: TypeAlias = Job[sqlite3.Connection, Any]

_PRAGMAS: Final = (
    "synchronous = FULL",  # a commit is on the disk before anybody hears of it
    "fullfsync = ON",  # ... on macOS too
    "secure_delete = ON",  # spent refresh tokens do not stay in free pages
)
_LOCK_MAX_PAUSE: Final = 0.01
"""The longest pause in seconds between two tries at a lock: processes must not keep step."""


class _Session:
    """A connection that is opened when it is needed, and again after whatever went wrong.

    Args:
        path: the database, absolute.
        busy_timeout: seconds to wait for other processes.
    """

    def __init__(self, path: Path, busy_timeout: float) -> None:
        self.path = path
        self._busy_timeout = busy_timeout
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def close(self) -> None:
        """Close the connection; what is not committed is undone."""
        if self._db is not None:
            with suppress(sqlite3.Error):  # it is of no more use, whatever is wrong with it
                self._db.close()
            self._db = None

    def connection(self) -> sqlite3.Connection:
        """The open connection to the file that has the path now."""
        if self._db is not None and self._identity == self._look():
            return self._db
        self.close()
        if self._identity is None:
            self._first_look()
        # a store that was there must not be followed by an empty one, so this raises if it is gone
        identity = self._look()
        _file.require_ours(self.path)
        self._db = _file.connect(self.path, "mode=rw")
        try:
            self._prepare(self._db)
        except BaseException as exc:
            self.close()
            if isinstance(exc, sqlite3.Error) and is_damage(exc):
                raise _file.damaged(exc, self.path) from exc.with_traceback(None)
            raise
        self._identity = identity
        return self._db

    def _look(self) -> tuple[int, int]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            msg = (
                f"{self.path} was removed while it was in use. Put it back; to begin with an empty "
                "store, make a new one"
            )
            raise StoreError(msg) from None
        return status.st_dev, status.st_ino

    def _first_look(self) -> None:
        """A step before the file is opened for the first time."""
        if self.path.exists():
            require_own(self.path)
        self.path = self.path.resolve()  # SQLite names its log after what a link points to

    def _prepare(self, db: sqlite3.Connection) -> None:
        """A step with each new connection before it is used."""

    def _until_timeout(self, step: Callable[[], T]) -> T:
        until = monotonic() + self._busy_timeout
        while True:
            try:
                return step()
            except sqlite3.OperationalError as exc:
                if not is_busy(exc) or monotonic() >= until:
                    raise
            sleep(uniform(_LOCK_MAX_PAUSE / 10, _LOCK_MAX_PAUSE))


class Writer(_Session):
    """Does all the jobs that wait in one transaction, so that they share its one sync."""

    def _first_look(self) -> None:
        super()._first_look()
        if not self.path.exists():
            _file.create(self.path)

    def _prepare(self, db: sqlite3.Connection) -> None:
        for pragma in _PRAGMAS:
            db.execute(f"PRAGMA {pragma}")
        _schema.upgrade(db, self.path)

    def serve(self, jobs: Sequence[SqliteJob]) -> None:
        """Commit what the jobs do, or fail all of them: what one did may rest on another."""
        try:
            db = self._until_timeout(self._begin)
            _schema.require_current(db, self.path)
            for job in jobs:
                _do_one_of_many(db, job, self.path)
            db.execute("COMMIT")
        except BaseException as exc:
            self.close()  # which undoes the transaction
            if not isinstance(exc, (sqlite3.Error, OSError, StoreError)):
                raise
            for job in jobs:
                job.fail(store_error(exc, self.path))

    def _begin(self) -> sqlite3.Connection:
        db = self.connection()
        db.execute("BEGIN IMMEDIATE")
        return db


def _do_one_of_many(db: sqlite3.Connection, job: SqliteJob, path: Path) -> None:
    """One job; one that fails leaves the others as they are."""
    try:
        job.succeed(job.operation(db))
    except Exception as exc:
        if not db.in_transaction:
            raise  # SQLite gave up the whole transaction
        job.fail(store_error(exc, path) if isinstance(exc, sqlite3.Error) else exc)


class Reader(_Session):
    """Reads what is committed, beside the writer. The file must have been opened for writing."""

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA query_only = ON")
        _schema.require_current(db, self.path)

    def serve(self, jobs: Sequence[SqliteJob]) -> None:
        """Do each job by itself."""
        for job in jobs:
            try:
                job.succeed(self._until_timeout(partial(self._do, job)))
            except (sqlite3.Error, OSError, StoreError) as exc:
                self.close()
                job.fail(store_error(exc, self.path))
            except Exception as exc:  # noqa: BLE001 - it is given to who asked
                job.fail(exc)

    def _do(self, job: SqliteJob) -> Any:
        return job.operation(self.connection())
