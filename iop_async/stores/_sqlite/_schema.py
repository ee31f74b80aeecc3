"""The tables, and how an older file becomes one of this version.

Within a version, columns may be added that have a default: statements name their columns, so that
two releases work on one file side by side. Whatever an older release could not live with is a new
version, which it refuses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ..._exceptions import StoreError
from .._contract import DUE_STEP

APPLICATION_ID: Final = 0x696F7061
"""Tells a token store from the databases of others."""

VERSION: Final = 1

TABLES: Final[Sequence[str]] = (
    # `sellers` repeats, as JSON and in order, the rows of the table `sellers` that point here.
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY,
        scope TEXT NOT NULL,
        seller TEXT NOT NULL,
        sellers TEXT NOT NULL,
        due_at INTEGER,
        dies_at INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        lease_holder TEXT,
        lease_until INTEGER,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE sellers (
        scope TEXT NOT NULL,
        seller TEXT NOT NULL,
        record INTEGER NOT NULL,
        PRIMARY KEY (scope, seller)
    ) WITHOUT ROWID""",
    # The highest revision of any record that is gone: a new one begins above it, so that nobody
    # who still holds the old one can overwrite the new.
    """CREATE TABLE floors (
        scope TEXT PRIMARY KEY,
        revision INTEGER NOT NULL
    ) WITHOUT ROWID""",
)

# Release 0.1 asks for indexes by these names.
INDEXES: Final[Mapping[str, str]] = {
    "records_of_scope": "CREATE INDEX records_of_scope ON records (scope)",
    "records_by_due": """CREATE INDEX records_by_due
        ON records (scope, lease_until, due_at) WHERE due_at IS NOT NULL""",
    "records_by_death": f"""CREATE INDEX records_by_death
        ON records (scope, lease_until, due_at / {DUE_STEP}, dies_at, due_at)
        WHERE due_at IS NOT NULL""",
}

SUPERSEDED: Final[Sequence[str]] = (
    """CREATE INDEX records_by_due ON records (scope, due_at, lease_until, dies_at)
        WHERE due_at IS NOT NULL""",
    """CREATE INDEX records_by_death ON records (scope, dies_at, due_at, lease_until)
        WHERE due_at IS NOT NULL""",
)
"""Indexes of release 0.1, to the letter: others of the same names take their place."""

_TRIALS: Final[Sequence[str]] = (
    """SELECT id, scope, seller, sellers, due_at, dies_at, generation, revision, lease_holder,
        lease_until, body FROM records ORDER BY id LIMIT 1""",
    "SELECT scope, seller, record FROM sellers LIMIT 1",
    "SELECT scope, revision FROM floors LIMIT 1",
)

UPGRADES: Final[Mapping[int, Sequence[str]]] = {}
"""Statements that make a file of one version a file of the next."""


def create(db: sqlite3.Connection) -> None:
    """Make an empty database a token store."""
    db.execute("BEGIN IMMEDIATE")
    for statement in (*TABLES, *INDEXES.values()):
        db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def check(db: sqlite3.Connection) -> None:
    """Raises ``sqlite3.Error`` where a table or a column is missing, or cannot be read."""
    for statement in _TRIALS:
        db.execute(statement).fetchall()


def version_of(db: sqlite3.Connection) -> int:
    """The version of the tables."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def require_current(db: sqlite3.Connection, path: Path) -> None:
    """Raises ``StoreError`` where another release has taken the file further."""
    version = version_of(db)
    if version != VERSION:
        msg = (
            f"{path}: its tables are of version {version} and this release of iop-async knows "
            f"{VERSION}; nothing was changed. Install the release that wrote it, or a newer one"
        )
        raise StoreError(msg, retryable=False)


def upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to this version, all of the way or not at all."""
    if version_of(db) in UPGRADES:
        db.execute("BEGIN IMMEDIATE")
        # read again: another process may have done it while this one waited
        while (version := version_of(db)) in UPGRADES:
            for statement in UPGRADES[version]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1}")
        db.execute("COMMIT")
    require_current(db, path)
    for name in _superseded(db):
        # one at a time, so that others wait for less: both releases work with either
        db.execute("BEGIN IMMEDIATE")
        if name in _superseded(db):  # read again, as above
            db.execute(f"DROP INDEX {name}")
            db.execute(INDEXES[name])
        db.execute("COMMIT")


def _superseded(db: sqlite3.Connection) -> list[str]:
    """Names of the indexes that are as an older release made them."""
    made = dict(db.execute("SELECT sql, name FROM sqlite_master WHERE type = 'index'").fetchall())
    return [made[sql.encode()].decode() for sql in SUPERSEDED if sql.encode() in made]
