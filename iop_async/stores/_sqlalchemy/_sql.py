"""The SQL statements of a store, put together once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Subquery,
    Update,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from ...protocols import MAX_LEASE_SECONDS
from .._columns import span
from ._databases import Database
from ._many_rows_sql import Arrays, Json
from ._params import (
    DUE_BY,
    DUE_MINUTE,
    HOLDER,
    ID,
    IDS,
    KEY,
    KEYS,
    LIMIT,
    MICROS,
    SCOPE_KEY,
    SORTED,
    UNTIL,
    binary,
)
from ._tables import NEVER, Tables

_MAX_PARAMS: Final = 500
"""The most rows that one statement names: databases bound their parameters."""


def chunks(values: Iterable[Any], most: int = _MAX_PARAMS) -> list[list[Any]]:
    """The values, no more at once than a statement may name."""
    every = list(values)
    return [every[at : at + most] for at in range(0, len(every), most)]


class Sql:
    """The statements for one kind of database and one set of tables.

    Args:
        skips_locked: the server has ``SKIP LOCKED``.
        has_minutes: the tables are up to date, and not as version 0.1 made them.
    """

    def __init__(
        self, tables: Tables, database: Database, *, skips_locked: bool, has_minutes: bool = True
    ) -> None:
        self._tables = tables
        self._has_minutes = has_minutes
        self._now = database.clock
        # a lease that ends after this was given by no clock that is right
        self._last_end = database.clock + literal(span(MAX_LEASE_SECONDS), BigInteger)
        r, s = tables.records.c, tables.sellers.c
        stored = (
            r.seller_key, r.seller, r.sellers, r.due_at, r.dies_at, r.generation, r.revision, r.body
        )  # fmt: skip
        self._columns = (r.id, *map(database.typed, stored))
        self._of_seller = r.id == select(s.record_id).where(s.seller_key == KEY).scalar_subquery()
        self._is_free = self._free(r.lease_until)

        self.version = select(func.max(tables.layout.c.version))
        self.set_version = database.insert_missing(tables.layout)
        # Changes nothing, but takes the lock that lets one transaction write at a time. One that
        # began to read before it would have to be begun again.
        self.lock_database = (
            update(tables.layout).where(tables.layout.c.version < 0).values(version=0)
        )
        self._reads()
        self._writes(database)
        self._leases(database)
        self._claims(database, skips_locked=skips_locked)
        many = (tables, self._columns, self._free, self._now)
        of_many = database.many_rows_by if skips_locked else None
        self.arrays = Arrays.of(*many) if of_many == "arrays" else None
        self.json = Json.of(*many) if of_many == "json" else None

    def _free(self, column: ColumnElement[int]) -> ColumnElement[bool]:
        lease_until = func.coalesce(column, 0)
        return or_(lease_until <= self._now, lease_until > self._last_end)

    def _reads(self) -> None:
        t, r, s = self._tables, self._tables.records.c, self._tables.sellers.c
        self.get = (
            select(*self._columns)
            .select_from(t.sellers.join(t.records, r.id == s.record_id))
            .where(s.seller_key == KEY)
        )
        # else MariaDB goes by the scope alone, and passes by all that was read before
        self.page = (
            self._by(t.of_scope, select(*self._columns))
            .where(r.scope_key == SCOPE_KEY, r.id > ID)
            .order_by(r.id)
            .limit(LIMIT)
        )
        scheduled = (r.scope_key == SCOPE_KEY, r.due_at < NEVER)
        # both pass by the records that are leased, which are as many as are being worked on
        lease_until = func.coalesce(r.lease_until, r.due_at)
        is_free_then = or_(lease_until <= r.due_at, lease_until > self._last_end)
        self.first_free = self._by(t.by_due, select(cast(r.due_at, BigInteger))).where(
            *scheduled, is_free_then
        ).order_by(r.due_at).limit(1)  # fmt: skip
        first_end = cast(func.min(r.lease_until), BigInteger)
        self.first_lease_to_end = self._by(t.by_due, select(first_end)).where(
            r.scope_key == SCOPE_KEY,
            r.due_at < DUE_BY,
            r.lease_until > r.due_at,
            r.lease_until <= self._last_end,
        )

    def _writes(self, database: Database) -> None:
        t, r, s = self._tables, self._tables.records.c, self._tables.sellers.c
        f = t.revision_floors.c
        self.lock_scope = (
            select(database.typed(f.revision)).where(f.scope_key == SCOPE_KEY).with_for_update()
        )
        self.insert_floor = database.insert_missing(t.revision_floors)
        self.raise_floor = update(t.revision_floors).where(f.scope_key == SCOPE_KEY)
        self.find = select(s.seller_key, database.typed(s.record_id)).where(s.seller_key.in_(KEYS))
        self.lock_rows = (
            select(*self._columns).where(r.id.in_(IDS)).order_by(r.id).with_for_update()
        )
        counted = update(t.records).values(revision=r.revision + 1)
        # the one statement that nearly every write is
        self.replace = counted.where(
            r.seller_key == KEY, r.revision == MICROS, r.sellers == binary("some_sellers")
        ).values(lease_until=case((r.lease_holder == HOLDER, 0), else_=r.lease_until))
        self.change = counted.where(r.id == ID)
        self.find_rows = (
            select(s.seller_key.label("found_by"), *self._columns)
            .select_from(t.sellers.join(t.records, r.id == s.record_id))
            .where(s.seller_key.in_(KEYS))
        )
        floor = select(database.typed(f.revision)).where(f.scope_key == SCOPE_KEY)
        is_known = exists().where(s.seller_key.in_(KEYS))
        self.look = select(floor.scalar_subquery().label("floor"), is_known.label("is_known"))
        self.floors = select(f.scope_key, database.typed(f.revision)).where(f.scope_key.in_(KEYS))
        self.ids = select(r.seller_key, r.id).where(r.seller_key.in_(KEYS))
        self.recount = update(t.records).where(r.id.in_(IDS))
        self.insert = insert(t.records)
        self.delete = delete(t.records).where(r.id == ID)
        self.index_sellers = insert(t.sellers)
        self.move_sellers = update(t.sellers).where(s.seller_key.in_(KEYS))
        self.unindex_sellers = delete(t.sellers).where(s.seller_key.in_(KEYS))
        self.unindex_record = delete(t.sellers).where(s.record_id == ID)

    def _leases(self, database: Database) -> None:
        t, r = self._tables, self._tables.records.c
        is_ours = r.lease_holder == HOLDER
        lease = update(t.records).values(lease_holder=HOLDER, lease_until=self._now + MICROS)
        self.take = lease.where(self._of_seller, self._is_free)
        self.lengthen = lease.where(self._of_seller, is_ours)
        self.leased = self.get.add_columns(r.lease_until).where(is_ours, r.lease_until > self._now)
        self.lease = self._lease_at_once(lease) if database.returns_updated else None
        self.held = self.get.add_columns(
            r.lease_holder, r.lease_until, self._is_free.label("is_free")
        )
        self.release = (
            update(t.records).where(r.id == ID, r.lease_holder == HOLDER).values(lease_until=0)
        )

    def _lease_at_once(self, lease: Update) -> ReturningUpdate[Any]:
        r = self._tables.records.c
        held = (
            select(r.id, self._is_free.label("is_new"))
            .where(self._of_seller, or_(self._is_free, r.lease_holder == HOLDER))
            .with_for_update()
            .cte("held")
        )
        return lease.where(r.id == held.c.id).returning(
            *self._columns, r.lease_until, held.c.is_new
        )

    def _claims(self, database: Database, *, skips_locked: bool) -> None:
        t, r = self._tables, self._tables.records.c
        is_ready = (r.due_at <= DUE_BY, self._is_free)
        first = self._first_due()
        self.due = select(first.c.id).order_by(first.c.dies_at, first.c.id).limit(LIMIT)
        self.lock = (
            select(*self._columns, self._now.label("now"))
            .where(r.id.in_(IDS), *is_ready)
            .order_by(r.id)
            .with_for_update(skip_locked=skips_locked)
        )
        self.lease_all = (
            update(t.records).where(r.id.in_(IDS)).values(lease_holder=HOLDER, lease_until=UNTIL)
        )
        at_once = database.returns_updated
        self.claim: Any = self._claim_at_once(skips_locked=skips_locked) if at_once else None
        self.undo = (
            update(t.records)
            .where(r.id.in_(IDS), r.lease_holder == HOLDER, r.lease_until == UNTIL)
            .values(lease_until=0)
        )

    def _first_due(self) -> Subquery:
        """Those that fell due first, in no order: as many as are sorted."""
        r = self._tables.records.c
        # one without an expiry that should have one is spoiled, and shows when it is read
        dies_at = func.coalesce(cast(r.dies_at, BigInteger), 0).label("dies_at")
        due = select(r.id, dies_at).where(r.scope_key == SCOPE_KEY, self._is_free).limit(SORTED)
        if self._has_minutes:
            # as a sum, lest PostgreSQL goes by it and sorts all that is due
            is_due = (r.due_minute <= DUE_MINUTE, r.due_at + 0 <= DUE_BY)
            due = due.where(*is_due).order_by(r.due_minute, r.dies_at)
            return self._by(self._tables.by_minute, due).subquery("due")  # type: ignore[no-any-return]
        due = due.where(r.due_at <= DUE_BY).order_by(r.due_at)
        return self._by(self._tables.by_due, due).subquery("due")  # type: ignore[no-any-return]

    def _claim_at_once(self, *, skips_locked: bool) -> ReturningUpdate[Any]:
        due, one = self._first_due(), self._tables.records.alias("one")
        # sorted before the rows are looked at, of which no more are locked than are claimed
        first = select(due).order_by(due.c.dies_at, due.c.id).subquery("first")
        locked = (
            select(one.c.id)
            .select_from(first.join(one, one.c.id == first.c.id))
            .where(one.c.due_at <= DUE_BY, self._free(one.c.lease_until))
            .order_by(first.c.dies_at, first.c.id)
            .limit(LIMIT)
            .with_for_update(of=one, skip_locked=skips_locked)
            .cte("locked")
        )
        r = self._tables.records.c
        # in a query of its own the clock is read once, and all leases end together
        until = select(self._now + MICROS).scalar_subquery()
        return (
            update(self._tables.records)
            .where(r.id == locked.c.id)
            .values(lease_holder=HOLDER, lease_until=until)
            .returning(*self._columns, r.lease_until)
        )

    def _by(self, index: str, statement: Any) -> Any:
        """Where a database lets us say so, the index to go by."""
        hint = f"FORCE INDEX ({index})"
        for dialect in ("mysql", "mariadb"):
            statement = statement.with_hint(self._tables.records, hint, dialect)
        return statement
