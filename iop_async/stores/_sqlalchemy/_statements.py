"""The statements of a store, put together once."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from ._databases import Database
from ._rows import NEVER
from ._tables import Tables
from ._types import SENT


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


def _bytes(name: str) -> BindParameter[bytes]:
    return bindparam(name, type_=SENT.text)


# No parameter may be named as the column that a statement sets, so each of them has a prefix.
KEY: Final = _bytes("a_key")
SCOPE_KEY: Final = _bytes("a_scope_key")
HOLDER: Final = _bytes("a_holder")
MICROS: Final = _number("a_number")
DUE_BY: Final = _number("a_due_by")
UNTIL: Final = _number("an_until")
LIMIT: Final = _number("a_limit")
ID: Final = _number("an_id")
KEYS: Final = bindparam("some_keys", type_=SENT.digest, expanding=True)
IDS: Final = bindparam("some_ids", type_=BigInteger, expanding=True)


class Statements:
    """What is said to one kind of database about one set of tables.

    Args:
        skips_locked: the server can pass by rows that others have locked.
    """

    def __init__(self, tables: Tables, database: Database, *, skips_locked: bool) -> None:
        self._tables = tables
        self._now = database.clock
        r, s, f = tables.records.c, tables.sellers.c, tables.floors.c
        self._columns = (
            r.id, r.seller, r.sellers, r.due_at, r.dies_at, r.generation, r.revision, r.body,
        )  # fmt: skip
        self._of_seller = r.id == select(s.record_id).where(s.seller_key == KEY).scalar_subquery()
        self._is_free: ColumnElement[bool] = r.lease_until <= self._now

        self.version = select(func.max(tables.layout.c.version))
        self.set_version = database.insert_missing(tables.layout)
        # changes nothing; where one transaction writes at a time, this is the one from now on
        self.take_turn = update(tables.layout).where(tables.layout.c.version < 0).values(version=0)

        self.get = (
            select(*self._columns)
            .select_from(tables.sellers.join(tables.records, r.id == s.record_id))
            .where(s.seller_key == KEY)
        )
        self.page = (
            select(*self._columns)
            .where(r.scope_key == SCOPE_KEY, r.id > ID)
            .order_by(r.id)
            .limit(LIMIT)
        )
        self.floor = select(f.revision).where(f.scope_key == SCOPE_KEY).with_for_update()
        self.new_floor = database.insert_missing(tables.floors)
        self.raise_floor = update(tables.floors).where(f.scope_key == SCOPE_KEY)
        self.find = select(s.seller_key, s.record_id).where(s.seller_key.in_(KEYS))
        self.owners = select(*self._columns).where(r.id.in_(IDS)).order_by(r.id).with_for_update()
        self._writes()
        self._leases()
        self._claims(skips_locked=skips_locked)

    def _writes(self) -> None:
        t, r, s = self._tables, self._tables.records.c, self._tables.sellers.c
        counted = update(t.records).values(revision=r.revision + 1)
        # the one statement that nearly every write is
        self.replace = counted.where(
            r.seller_key == KEY, r.revision == MICROS, r.sellers == _bytes("some_sellers")
        ).values(lease_until=case((r.lease_holder == HOLDER, 0), else_=r.lease_until))
        self.change = counted.where(r.id == ID)
        self.insert = insert(t.records)
        self.delete = delete(t.records).where(r.id == ID)
        self.add_sellers = insert(t.sellers)
        self.move_sellers = update(t.sellers).where(s.seller_key.in_(KEYS))
        self.forget_sellers = delete(t.sellers).where(s.seller_key.in_(KEYS))

    def _leases(self) -> None:
        t, r = self._tables, self._tables.records.c
        is_ours = r.lease_holder == HOLDER
        self.lease = (
            update(t.records)
            .where(self._of_seller, or_(is_ours, self._is_free))
            .values(lease_holder=HOLDER, lease_until=self._now + MICROS)
        )
        self.give_back = update(t.records).where(self._of_seller, is_ours).values(lease_until=0)
        self.leased = self.get.where(is_ours, r.lease_until > self._now)
        self.not_anothers = self.get.where(or_(is_ours, self._is_free))
        self.release = (
            update(t.records).where(r.id == ID, r.lease_holder == HOLDER).values(lease_until=0)
        )
        scheduled = (r.scope_key == SCOPE_KEY, r.due_at < NEVER)
        # both pass by the records that are leased, which are as many as are being worked on
        self.first_free = self._by(t.by_due, select(r.due_at)).where(
            *scheduled, r.lease_until <= r.due_at
        ).order_by(r.due_at).limit(1)  # fmt: skip
        self.first_lease_to_end = self._by(t.by_due, select(func.min(r.lease_until))).where(
            r.scope_key == SCOPE_KEY, r.due_at < DUE_BY, r.lease_until > r.due_at
        )

    def _claims(self, *, skips_locked: bool) -> None:
        t, r = self._tables, self._tables.records.c
        is_ready = (r.due_at <= DUE_BY, self._is_free)
        ready = select(r.dies_at, r.id).where(r.scope_key == SCOPE_KEY, *is_ready).limit(LIMIT)
        self.due = self._by(t.by_due, ready)
        self.dying = self._by(t.by_death, ready.order_by(r.dies_at))
        self.lock = (
            select(*self._columns, self._now.label("now"))
            .where(r.id.in_(IDS), *is_ready)
            .order_by(r.id)
            .with_for_update(skip_locked=skips_locked)
        )
        self.take = (
            update(t.records).where(r.id.in_(IDS)).values(lease_holder=HOLDER, lease_until=UNTIL)
        )
        self.unclaim = (
            update(t.records)
            .where(r.id.in_(IDS), r.lease_holder == HOLDER, r.lease_until == UNTIL)
            .values(lease_until=0)
        )

    def _by(self, index: str, statement: Any) -> Any:
        """Where a database lets us say so, the index to go by."""
        hint = f"FORCE INDEX ({index})"
        for dialect in ("mysql", "mariadb"):
            statement = statement.with_hint(self._tables.records, hint, dialect)
        return statement
