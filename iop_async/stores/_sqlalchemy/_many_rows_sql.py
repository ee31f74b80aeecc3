"""The statements for many rows at once; those that write and lease wait for no row.

The values of all rows come by few parameters, arrays or a JSON document, so that one statement does
for any number of rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, TypeAlias

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Insert,
    LargeBinary,
    Select,
    Table,
    TableValuedAlias,
    Text,
    Update,
    and_,
    bindparam,
    case,
    column,
    func,
    insert,
    or_,
    quoted_name,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from ._params import HOLDER, IDS, MICROS
from ._tables import Tables

Columns: TypeAlias = Sequence[ColumnElement[Any]]
IsFree: TypeAlias = Callable[[ColumnElement[int]], ColumnElement[bool]]

_BYTES: Final = frozenset(
    {"scope_key", "seller_key", "scope", "seller", "sellers", "body", "holder"}
)
_NUMBERS: Final = ("due_at", "dies_at", "generation")
"""With the body, what a write changes, but for the revision and the lease."""

_INSERTED: Final = (
    "scope_key", "seller_key", "scope", "seller", "sellers", *_NUMBERS, "revision", "lease_until",
    "body",
)  # fmt: skip


@frozen
class Arrays:
    """For PostgreSQL, which is sent an array for each column; see :func:`as_arrays`.

    Attributes:
        find: the rows that sellers find, by ``seller_key``.
        insert: new rows of records; ``index_sellers`` has their sellers find them.
    """

    find: Select[Any]
    insert: ReturningInsert[Any]
    index_sellers: Insert
    replace: ReturningUpdate[Any]
    lease: ReturningUpdate[Any]

    @classmethod
    def of(cls, tables: Tables, columns: Columns, free: IsFree, now: ColumnElement[int]) -> Self:
        """Args: the columns of a record, when its lease has ended, and the clock."""
        return cls(
            _find(tables, columns),
            _insert(tables.records, *_INSERTED).returning(
                tables.records.c.id, tables.records.c.seller_key
            ),
            _insert(tables.sellers, "seller_key", "record_id"),
            _replace(tables),
            _lease(tables, columns, free, now),
        )


def as_arrays(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Some rows, at least one, as the parameters that bring an array for each column."""
    return {f"some_{name}": [row[name] for row in rows] for name in rows[0]}


def _arrays(*names: str) -> TableValuedAlias:
    types = {name: LargeBinary() if name in _BYTES else BigInteger() for name in names}
    arrays = [bindparam(f"some_{name}", type_=ARRAY(type_)) for name, type_ in types.items()]
    columns = [column(name, type_) for name, type_ in types.items()]
    return func.unnest(*arrays).table_valued(*columns, name="wanted").render_derived()


def _find(tables: Tables, columns: Columns) -> Select[Any]:
    wanted = _arrays("seller_key")
    s, r = tables.sellers, tables.records
    # a query for each seller, as in _replace; the offset keeps the planner from joining at large
    found = (
        select(s.c.seller_key.label("found_by"), *columns)
        .select_from(s.join(r, r.c.id == s.c.record_id))
        .where(s.c.seller_key == wanted.c.seller_key)
        .offset(0)
        .lateral("found")
    )
    return select(*found.c).select_from(wanted.join(found, true()))


def _insert(table: Table, *names: str) -> Insert:
    return insert(table).from_select([*names], select(*_arrays(*names).c))


def _replace(tables: Tables) -> ReturningUpdate[Any]:
    wanted = _arrays("n", "seller_key", "revision", "sellers", *_NUMBERS, "body", "holder")
    one, r, w = tables.records.alias("one").c, tables.records.c, wanted.c
    # a query for each row, that is by the index: whatever the planner thinks of how many there are
    found = (
        select(one.id)
        .where(_matches(one, w.seller_key, w.revision, w.sellers))
        .with_for_update(skip_locked=True)
        .lateral("found")
    )
    locked = select(found.c.id, *w).select_from(wanted.join(found, true())).cte("locked")
    return (
        update(tables.records)
        .where(r.id == locked.c.id)
        .values(
            {name: locked.c[name] for name in (*_NUMBERS, "body")}
            | {
                "revision": r.revision + 1,
                "lease_until": case((r.lease_holder == locked.c.holder, 0), else_=r.lease_until),
            }
        )
        .returning(locked.c.n)
    )


def _matches(r: Any, seller_key: Any, revision: Any, sellers: Any) -> ColumnElement[bool]:
    return and_(r.seller_key == seller_key, r.revision == revision, r.sellers == sellers)


def _lease(
    tables: Tables, columns: Columns, free: IsFree, now: ColumnElement[int]
) -> ReturningUpdate[Any]:
    wanted = _arrays("n", "seller_key")
    one, s, r = tables.records.alias("one"), tables.sellers, tables.records.c
    is_free = free(one.c.lease_until)
    found = (
        select(one.c.id, is_free.label("is_new"))
        .select_from(s.join(one, one.c.id == s.c.record_id))
        .where(s.c.seller_key == wanted.c.seller_key, or_(is_free, one.c.lease_holder == HOLDER))
        .with_for_update(of=one, skip_locked=True)
        .lateral("found")
    )
    locked = select(wanted.c.n, *found.c).select_from(wanted.join(found, true())).cte("locked")
    return (
        update(tables.records)
        .where(r.id == locked.c.id)
        .values(lease_holder=HOLDER, lease_until=select(now + MICROS).scalar_subquery())
        .returning(*columns, r.lease_until, locked.c.n, locked.c.is_new)
    )


@frozen
class Json:
    """For MySQL and MariaDB, which are sent a document with bytes as digits, and lock rows first.

    Attributes:
        lock: the rows that match ``FOUND``, of which it gives ``n`` and ``id``.
        replace: writes ``WRITTEN``, in rows of these ids that are locked.
        lock_leased: the rows that may be leased, of those that ``SELLERS`` find.
        index_sellers: has sellers find rows of records, by ``INDEXED``.
    """

    FOUND = ("n", "seller_key", "revision", "sellers")
    WRITTEN = ("id", *_NUMBERS, "body", "holder")
    SELLERS = ("n", "seller_key")
    INDEXED = ("seller_key", "record_id")

    index_sellers: Insert
    lock: Select[Any]
    replace: Update
    lock_leased: Select[Any]

    @classmethod
    def of(cls, tables: Tables, columns: Columns, free: IsFree, now: ColumnElement[int]) -> Self:
        """Args: the columns of a record, when its lease has ended, and the clock."""
        r, s = tables.records, tables.sellers
        found, written, sellers = map(_document, (cls.FOUND, cls.WRITTEN, cls.SELLERS))
        indexed = _document(cls.INDEXED)
        is_free = free(r.c.lease_until)
        found_by = sellers.join(s, s.c.seller_key == _unhex(sellers.c.seller_key))
        values = {name: written.c[name] for name in _NUMBERS}
        is_holders = r.c.lease_holder == _unhex(written.c.holder)
        key, names = _unhex(found.c.seller_key), _unhex(found.c.sellers)
        matches = _matches(r.c, key, found.c.revision, names)
        return cls(
            insert(s).from_select(
                [*cls.INDEXED], select(_unhex(indexed.c.seller_key), indexed.c.record_id)
            ),
            _locked(select(found.c.n, r.c.id).select_from(found.join(r, matches))),
            update(r)
            .where(r.c.id == written.c.id, r.c.id.in_(IDS))
            .values(
                **values,
                body=_unhex(written.c.body),
                revision=r.c.revision + 1,
                lease_until=case((is_holders, 0), else_=r.c.lease_until),
            ),
            _locked(
                select(sellers.c.n, *columns, now.label("now"), is_free.label("is_new"))
                .select_from(found_by.join(r, r.c.id == s.c.record_id))
                .where(or_(is_free, r.c.lease_holder == HOLDER))
            ),
        )


def _locked(rows: Select[Any]) -> Select[Any]:
    # from the document to the rows, and not the other way round: that would lock all of them
    return rows.prefix_with("STRAIGHT_JOIN").with_for_update(skip_locked=True)


def _unhex(value: ColumnElement[Any]) -> ColumnElement[bytes]:
    return func.unhex(value, type_=LargeBinary())


def as_document(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """JSON of some columns of rows, with bytes as digits."""
    return json.dumps([[row[name] for name in names] for row in rows], default=bytes.hex)


def _document(names: Sequence[str]) -> FromClause:
    types = {name: "LONGTEXT" if name in _BYTES else "BIGINT" for name in names}
    # in quotes, because some of the names are reserved in MariaDB's ORACLE mode
    rows = ", ".join(
        f"`{name}` {kind} PATH '$[{n}]'" for n, (name, kind) in enumerate(types.items())
    )
    columns = [
        column(quoted_name(name, quote=True), Text() if name in _BYTES else BigInteger())
        for name in names
    ]
    document = text(f"SELECT * FROM JSON_TABLE(:a_document, '$[*]' COLUMNS ({rows})) AS rows_")  # noqa: S608
    return document.columns(*columns).subquery("wanted")
