"""Writing records and ending leases, each function within one transaction.

A function that fails leaves nothing behind and the transaction as it was. One statement does that
by itself; more of them go into a savepoint. One is worth it: the thread gives up the interpreter
with every statement, and waits for its turn again.
"""

# ruff: noqa: S608 - the statements are put together from constants

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from ..._exceptions import StoreError
from ..._records import Record
from ..._values import changed
from .._columns import sellers_column
from .._contract import MAX_READ_COUNT, is_repetition
from . import _rows

_CHANGES: Final = """sellers = :sellers, due_at = :due_at, dies_at = :dies_at,
    generation = :generation, revision = revision + 1, body = :body,
    lease_until = CASE WHEN lease_holder = :release THEN NULL ELSE lease_until END,
    lease_holder = CASE WHEN lease_holder = :release THEN NULL ELSE lease_holder END"""

_ID: Final = "(SELECT record FROM sellers WHERE scope = :scope AND seller = :seller)"

# The one statement that nearly every write is: the stored revision is the expected one, and the
# sellers are the ones that find the record already.
REPLACE: Final = f"""UPDATE records SET {_CHANGES} WHERE id = {_ID}
    AND seller = :seller AND revision = :revision AND sellers = :sellers"""

_UPDATE: Final = f"UPDATE records SET {_CHANGES} WHERE id = {_ID}"

# A floor that was planted must not keep every new record from being written.
_STORED_FLOOR: Final = f"""SELECT revision FROM floors WHERE scope = :scope
    AND typeof(revision) = 'integer' AND revision BETWEEN 0 AND {MAX_READ_COUNT}"""

_FLOOR: Final = f"coalesce(({_STORED_FLOOR}), 0)"

INSERT: Final = f"""INSERT INTO records
    (id, scope, seller, sellers, due_at, dies_at, generation, revision, body)
    VALUES (:id, :scope, :seller, :sellers, :due_at, :dies_at, :generation, 1 + {_FLOOR}, :body)"""

INDEX: Final = "INSERT OR REPLACE INTO sellers (scope, seller, record) VALUES (?, ?, ?)"

_RAISE_FLOOR: Final = f"""INSERT OR REPLACE INTO floors (scope, revision)
    VALUES (:scope, max(:revision, {_FLOOR}))"""

_KEY_AND_REVISION: Final = f"SELECT id, revision FROM records WHERE id = {_ID}"

_RELEASE: Final = f"""UPDATE records SET lease_holder = NULL, lease_until = NULL
    WHERE id = {_ID} AND lease_holder = :holder AND lease_until = coalesce(:until, lease_until)"""


def put(db: sqlite3.Connection, record: Record, release: str | None) -> Record:
    """Write a record if the stored one still has its revision."""
    if db.execute(REPLACE, _rows.values(record, release)).rowcount:
        return changed(record, revision=record.revision + 1)
    with savepoint(db):
        return _put_otherwise(db, record, release)


def _put_otherwise(db: sqlite3.Connection, record: Record, release: str | None) -> Record:
    """Write a record that is new, or has other sellers; or find that it may not be written."""
    found = _rows.find(db, record.scope, record.seller_id)
    stored = found[0] if found and found[0].seller_id == record.seller_id else None
    if not is_repetition(stored, record):
        if stored is not None:
            db.execute(_UPDATE, _rows.values(record, release))
        key = found[1] if stored is not None and found else _insert(db, record)
        _index_sellers(db, key, record, () if stored is None else stored.seller_ids)
    elif release is not None:
        give_back(db, record.scope, record.seller_id, release)
    written = _rows.get(db, record.scope, record.seller_id)
    assert written is not None  # noqa: S101 - it was written a moment ago
    return written


def _insert(db: sqlite3.Connection, record: Record) -> int:
    key = db.execute(INSERT, {**_rows.values(record, None), "id": None}).lastrowid
    assert key is not None  # noqa: S101 - an insert has one
    return key


def _index_sellers(db: sqlite3.Connection, key: int, record: Record, before: Sequence[str]) -> None:
    """Index a record under its sellers, and no longer under those that it had before."""
    scope = record.scope
    _forget(db, scope, (seller_id for seller_id in before if seller_id not in record.seller_ids))
    gained = [seller_id for seller_id in record.seller_ids if seller_id not in before]
    owners: dict[int, Record] = {}
    for seller_id in gained:
        found = _rows.find(db, scope, seller_id)
        if found is not None:
            owners[found[1]] = found[0]
    for owner, loser in owners.items():
        _detach_sellers(db, owner, loser, gained)
    db.executemany(INDEX, [(scope, seller_id, key) for seller_id in gained])


def _detach_sellers(db: sqlite3.Connection, key: int, record: Record, taken: Sequence[str]) -> None:
    """Detach sellers from a record that they found so far; it is gone with the last."""
    left = [seller_id for seller_id in record.seller_ids if seller_id not in taken]
    if record.seller_id not in left:
        _raise_revision_floor(db, record.scope, record.revision)
    if not left:
        db.execute("DELETE FROM records WHERE id = ?", (key,))
        return
    # A write like any other: who holds the record as it was must not take the sellers back.
    db.execute(
        "UPDATE records SET seller = ?, sellers = ?, revision = revision + 1 WHERE id = ?",
        (record.seller_id if record.seller_id in left else left[0], sellers_column(left), key),
    )


def remove(db: sqlite3.Connection, scope: str, seller_id: str) -> bool:
    """Forget the record that ``seller_id`` finds; whether there was one."""
    try:
        found = _rows.find(db, scope, seller_id)
    except StoreError:
        return _remove_unreadable(db, scope, seller_id)
    if found is None:
        return False
    record, key = found
    with savepoint(db):
        _forget(db, scope, record.seller_ids)
        db.execute("DELETE FROM records WHERE id = ?", (key,))
        _raise_revision_floor(db, record.scope, record.revision)
    return True


def _remove_unreadable(db: sqlite3.Connection, scope: str, seller_id: str) -> bool:
    """Forget a record of which nothing is certain but its key; all sellers are looked through."""
    with savepoint(db):
        params = {"scope": scope, "seller": seller_id}
        key, revision = db.execute(_KEY_AND_REVISION, params).fetchone()
        db.execute("DELETE FROM sellers WHERE record = ?", (key,))
        db.execute("DELETE FROM records WHERE id = ?", (key,))
        if isinstance(revision, int) and revision <= MAX_READ_COUNT:
            _raise_revision_floor(db, scope, revision)
    return True


def _forget(db: sqlite3.Connection, scope: str, seller_ids: Iterable[str]) -> None:
    db.executemany(
        "DELETE FROM sellers WHERE scope = ? AND seller = ?",
        [(scope, seller_id) for seller_id in seller_ids],
    )


def floor(db: sqlite3.Connection, scope: str) -> int:
    """The highest revision of any record of a scope that is gone; new ones begin above it."""
    stored = db.execute(_STORED_FLOOR, {"scope": scope}).fetchone()
    return stored[0] if stored else 0


def _raise_revision_floor(db: sqlite3.Connection, scope: str, revision: int) -> None:
    """Let the next new record begin above one that is gone."""
    db.execute(_RAISE_FLOOR, {"scope": scope, "revision": revision})


def give_back(
    db: sqlite3.Connection, scope: str, seller_id: str, holder: str, *, until: int | None = None
) -> None:
    """End the lease of ``holder``, if it has one (and it is the one that lasts ``until`` then)."""
    params = {"scope": scope, "seller": seller_id, "holder": holder, "until": until}
    db.execute(_RELEASE, params)


@contextmanager
def savepoint(db: sqlite3.Connection) -> Iterator[None]:
    """All statements within, or none of them."""
    db.execute("SAVEPOINT several")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # else SQLite gave up the whole transaction
            db.execute("ROLLBACK TO several")
            db.execute("RELEASE several")
        raise
    db.execute("RELEASE several")
