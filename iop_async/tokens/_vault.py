"""Where grants are kept: in the store, and while that fails in the journal and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import anyio

from .._collect_errors import MapCollectingErrors
from .._exceptions import StaleRecord, StoreError, UnknownSeller
from .._logs import own_logger
from .._records import Record
from .._refresh import RefreshPolicy
from .._values import changed
from ..protocols import BulkTokenStore, TokenStore
from ..stores import SpillJournal
from ..stores._base import SkippedRows
from ._admission import Admission
from ._approvals import Approvals
from ._bulk import Bulk
from ._cache import Cache
from ._entering import look_at
from ._grant import Grant, newest
from ._grant_json import from_record
from ._stored import Leases, Stored
from ._transitions import without_reapproved
from ._unpersisted import FLUSH_MAX_IN_FLIGHT, KEEP_TIMEOUT, Unpersisted

_log = own_logger("iop_async.tokens")

_MAX_READS: Final = 50
"""Grants that callers read at a time: what is written under a lease must not queue behind more."""

_MAX_CLAIMS: Final = 100
"""Pages of records in a row of which not one can be read."""


class Vault:
    """Writes grants so that none is lost, and reads the newest there is.

    Args:
        store: where grants belong.
        cache: what was seen lately; a store that has something older has gone back in time.
        journal: where they go while the store fails.
        scope: app and platform of the grants.
        policy: when a grant must be looked at again.
        leases: of this process on the store's grants.
        alone: where the store gives no lease because it fails, go on without one.

    Attributes:
        bulk: what takes many grants at once; ``None`` where the store takes one at a time.
    """

    def __init__(
        self,
        store: TokenStore,
        *,
        cache: Cache,
        journal: SpillJournal | None,
        scope: str,
        policy: RefreshPolicy,
        leases: Leases,
        alone: bool,
    ) -> None:
        self._store = store
        self.cache = cache
        self.scope = scope
        self.leases = leases
        self._stored = Stored(store, scope=scope, policy=policy, leases=leases)
        self.unpersisted = Unpersisted(scope, journal, self._stored)
        self.bulk: Bulk | None = None
        if isinstance(store, BulkTokenStore):
            self.bulk = Bulk(
                store, scope=scope, policy=policy, cache=cache, unpersisted=self.unpersisted
            )
        self.approvals = Approvals(scope, self._stored, self.unpersisted)
        self._journal = journal
        self._alone = alone
        self._reads = Admission(_MAX_READS)
        self._skipped = SkippedRows()

    def start_over(self) -> None:
        """Hold no lease and no lock.

        Forked workers have this object in common; an event loop may have ended in a locked room.
        """
        self.leases.start_over()
        self.unpersisted.start_over()
        self._reads = Admission(_MAX_READS)

    async def find(self, seller_id: str, *, reload: bool = False) -> Grant:
        """The grant of a seller, from memory where it is there and need not be read again.

        Raises:
            UnknownSeller: there is none.
        """
        if not reload and (known := self.cache.get(seller_id)) is not None:
            return known
        async with self._reads.place(object()):
            grant = await self.load(seller_id)
        if grant is None:
            raise UnknownSeller(seller_id, "it has never authorized the app here, or was forgotten")
        self.cache.put(grant)
        return grant

    async def load(self, seller_id: str) -> Grant | None:
        """The newest grant of a seller."""
        waiting = self.unpersisted.find((seller_id,))
        try:
            stored = await self._stored.get(seller_id)
            if stored is not None and waiting is not None and stored.age >= waiting.age:
                await self.unpersisted.settle(waiting.seller_id)
                stored, waiting = await self._stored.get(seller_id), None
        except StoreError:
            if waiting is None:
                raise
            return waiting
        grant = newest(stored, waiting)
        return None if grant is None else self._newest_seen(grant)

    def _newest_seen(self, stored: Grant) -> Grant:
        """The grant, or a newer one that was seen in the store before it lost that."""
        seen = self.cache.get(stored.seller_id)
        if seen is None or seen.age <= stored.age:
            return stored
        _log.error("the store has an older token of seller %s than before", stored.seller_id)
        return self.unpersisted.remember(seen)

    def has_stored(self, grant: Grant) -> bool:
        """Whether the store has the grant, and not only the journal and memory."""
        return self.unpersisted.grants.get(grant.seller_id) != grant

    async def check(self) -> StoreError | None:
        """Look at the store and the journal before anybody depends on them.

        Returns what is wrong with a store that one may go on without.
        """
        return await look_at(self._store, self._journal, scope=self.scope, alone=self._alone)

    async def lease(self, grant: Grant) -> Grant | None:
        """The grant, read again and leased; ``None`` where somebody else refreshes it.

        A lease of one's own is lengthened.
        """
        waiting = self.unpersisted.grants.get(grant.seller_id)
        if waiting is not None:
            try:
                # Or others find it due, and no lease on it.
                await self.unpersisted.settle(waiting.seller_id)
            except StoreError:
                if waiting.age > grant.age or self._alone:
                    return waiting
                raise
        try:
            record = await self.leases.take(grant.seller_id)
        except StoreError:
            if not self._alone:
                raise
            _log.warning("the store gives no lease on seller %s; going on alone", grant.seller_id)
            self.leases.forget(grant.seller_id)
            return grant
        if record is None:
            return None
        leased = from_record(record)
        if self._newest_seen(leased) is not leased:
            await self.flush()
            return await self.lease(grant)
        return leased

    async def claim(self, *, due_by: datetime, limit: int) -> list[Grant]:
        """Lease grants that are due, ordered by expiry, earliest first.

        Empty where there are no more: those that cannot be read stay leased, and so do not stand
        in the way of others.
        """
        for _ in range(_MAX_CLAIMS):
            records = await self.leases.claim(due_by=due_by, limit=limit)
            grants = []
            for record in records:
                grant = self._claimable(record)
                if grant is None:
                    self.leases.forget(record.seller_id)
                else:
                    grants.append(grant)
            if grants or not records:
                break
        return grants

    def _claimable(self, record: Record) -> Grant | None:
        # What the store has of an unpersisted grant is old: its refresh token is spent.
        if record.seller_id in self.unpersisted.grants:
            return None
        try:
            grant = from_record(record)
        except StoreError as error:  # one that cannot be read holds up no other
            self._skipped.tell(error)
            return None
        return grant if self._newest_seen(grant) is grant else None

    async def next_due(self) -> datetime | None:
        """When :meth:`claim` finds something next."""
        return await self._store.next_due(self.scope)

    async def intend(self, grant: Grant) -> Grant:
        """Make it durable that a refresh token is about to be presented.

        Raises:
            StaleRecord: the stored one is newer, or gone.
            StoreError: the store failed, and so did the journal where one may go on alone.
        """
        try:
            return await self._stored.write(grant)
        except StaleRecord:
            raise
        except StoreError:
            if not self._alone:
                raise
            await self.unpersisted.require(grant)
            return grant

    async def want(self, grant: Grant) -> None:
        """Let whoever keeps the store's grants know that a refresh of this one is wanted."""
        try:
            await self._stored.write(grant)
        except StaleRecord:
            return  # somebody has just done something about it

    async def keep(self, grant: Grant, *, before: Grant | None = None) -> Grant | None:
        """Make the outcome of a refresh durable, whatever happens; the grant to go on with.

        ``None`` where the seller was forgotten meanwhile.

        Args:
            before: the grant that was refreshed, where that brought a pair: it is kept even where
                it came too late to be the newest.
        """
        pair = None if before is None else grant.token
        known = grant
        if before is not None and before.seller_ids != grant.seller_ids:
            known = changed(grant, seller_ids=before.seller_ids)
        kept: Grant | None = known
        try:
            # What is kept here is nowhere else: who dies now takes the pair along.
            with anyio.fail_after(KEEP_TIMEOUT, shield=True):
                if grant.seller_ids != known.seller_ids:
                    grant = await self._joined(known, grant.seller_ids)
                kept = await self._stored.write_outcome(grant, pair)
        # A bug of somebody's store, or who cancels the tasks of one, must not cost a pair.
        except (Exception, anyio.get_cancelled_exc_class()) as error:  # noqa: BLE001
            if self._newer_approval(grant) is None:
                with anyio.CancelScope(shield=True):
                    await self.unpersisted.spill(known, error)
        finally:
            self.leases.forget(grant.seller_id)
        return self._newer_approval(grant) or kept

    async def _joined(self, grant: Grant, seller_ids: tuple[str, ...]) -> Grant:
        """The grant with those of some sellers that have not approved by themselves later."""
        joining = tuple(seller_id for seller_id in seller_ids if seller_id not in grant.seller_ids)
        if not joining:
            return grant
        others = (*await self._stored.find_all(joining), *self.unpersisted)
        joined = without_reapproved(others, changed(grant, seller_ids=joining))
        return (
            changed(grant, seller_ids=(*grant.seller_ids, *joined.seller_ids)) if joined else grant
        )

    def _newer_approval(self, grant: Grant) -> Grant | None:
        """What its seller has approved since, where the store does not know."""
        waiting = self.unpersisted.grants.get(grant.seller_id)
        is_newer = waiting is not None and waiting.epoch > grant.epoch
        return waiting if is_newer else None

    async def recover(self) -> None:
        """Take over what an earlier process could only write to the journal.

        A few are written to the store at once, many beside the work: :meth:`flush` them.
        """
        await self.unpersisted.recover()
        if len(self.unpersisted.grants) <= FLUSH_MAX_IN_FLIGHT:
            await self.flush()

    async def flush(self) -> list[Grant]:
        """Write to the store what it does not have yet; what is there now."""
        return await self.unpersisted.flush()

    async def forget(self, seller_id: str) -> bool:
        """Remove the grant that a seller finds; whether there was one."""
        try:
            return await self._forget(seller_id)
        finally:
            self.cache.drop(seller_id)

    async def _forget(self, seller_id: str) -> bool:
        grant = await self.load(seller_id)
        if grant is None:
            return False
        waiting = self.unpersisted.grants.get(grant.seller_id)
        was_stored = await self._stored.remove(seller_id)
        if waiting is not None:
            await self.unpersisted.remove(waiting)
        return was_stored or waiting is not None

    def all(self) -> AsyncIterator[Grant]:
        """Every grant of the scope."""
        return self.unpersisted.before(
            MapCollectingErrors(from_record, self._store.records(self.scope))
        )
