"""Where grants are kept: in the store, and while that fails in the journal and in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

import anyio
from attrs import evolve

from .._each import Each
from .._exceptions import StaleRecord, StoreError
from .._models import Token
from .._records import Record
from .._refresh import RefreshPolicy
from ..protocols import TokenStore
from ..stores import SpillJournal
from ._bodies import from_record
from ._cache import Cache
from ._grants import Grant, apart, authorized, left_by, names_of, newest
from ._leases import Leases
from ._stored import Stored
from ._unpersisted import Unpersisted

_log = logging.getLogger("iop_async.tokens")

_PATIENCE: Final = 10.0
"""Seconds that a store may take for an outcome, which goes to the journal then."""

_LONG_PATIENCE: Final = 60.0
"""Seconds that a store may take for what it did not take before, and tries several times itself."""


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
        self._cache = cache
        self.unpersisted = Unpersisted(scope, journal)
        self.scope = scope
        self.leases = leases
        self._stored = Stored(store, scope=scope, policy=policy, leases=leases)
        self._alone = alone
        # What comes late must not be written over an approval that is written at this moment.
        self._turn = anyio.Lock()

    async def load(self, seller: str) -> Grant | None:
        """The newest grant of a seller."""
        waiting = self.unpersisted.of((seller,))
        try:
            stored = await self._stored.get(seller)
            if stored is not None and waiting is not None and stored.age >= waiting.age:
                await self._flush(waiting.seller)
                stored, waiting = await self._stored.get(seller), None
        except StoreError:
            if waiting is None:
                raise
            return waiting
        grant = newest(stored, waiting)
        return None if grant is None else self._newest_seen(grant)

    def _newest_seen(self, stored: Grant) -> Grant:
        """The grant, or a newer one that was seen in the store before it lost that."""
        seen = self._cache.get(stored.seller)
        if seen is None or seen.age <= stored.age:
            return stored
        _log.error("the store has an older token of seller %s than before", stored.seller)
        return self.unpersisted.remember(seen)

    def has_stored(self, grant: Grant) -> bool:
        """Whether the store has the grant, and not only the journal and memory."""
        return self.unpersisted.get(grant.seller) != grant

    async def lease(self, grant: Grant) -> Grant | None:
        """The grant, read again and leased; ``None`` where somebody else refreshes it.

        A lease of one's own is lengthened.
        """
        waiting = self.unpersisted.get(grant.seller)
        if waiting is not None:
            try:
                await self._flush(waiting.seller)  # or others find it due, and no lease on it
            except StoreError:
                if waiting.age > grant.age or self._alone:
                    return waiting
                raise
        try:
            record = await self.leases.take(grant.seller)
        except StoreError:
            if not self._alone:
                raise
            _log.warning("the store gives no lease on seller %s; going on alone", grant.seller)
            self.leases.forget(grant.seller)
            return grant
        if record is None:
            return None
        leased = from_record(record)
        if self._newest_seen(leased) is not leased:
            await self.flush()
            return await self.lease(grant)
        return leased

    async def claim(self, *, due_by: datetime, limit: int) -> list[Grant]:
        """Lease grants that are due, those that die first first."""
        records = await self.leases.claim(due_by=due_by, limit=limit)
        grants = []
        for record in records:
            grant = self._claimable(record)
            if grant is None:
                self.leases.forget(record.seller)
            else:
                grants.append(grant)
        return grants

    def _claimable(self, record: Record) -> Grant | None:
        # What the store has of an unpersisted grant is old: its refresh token is spent.
        if record.seller in self.unpersisted:
            return None
        try:
            grant = from_record(record)
        except StoreError as error:  # one that cannot be read holds up no other
            _log.error("%s", error)
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
        with anyio.CancelScope(shield=True):  # what is kept here is nowhere else
            kept = await self._keep(grant, before)
        return kept  # noqa: RET504 - for type checkers a scope may end early

    async def _keep(self, grant: Grant, before: Grant | None) -> Grant | None:
        pair = None if before is None else grant.token
        known = grant if before is None else evolve(grant, sellers=before.sellers)
        try:
            with anyio.fail_after(_PATIENCE):  # a process that dies now takes the pair along
                kept = await self._stored.settle(await self._joined(known, grant.sellers), pair)
        except Exception as error:  # noqa: BLE001 - a bug of somebody's store must not cost a pair
            newer = self._newer_approval(grant)
            if newer is None:
                await self._spill(known, error)
            return newer or known
        finally:
            self.leases.forget(grant.seller)
        return self._newer_approval(grant) or kept

    async def _joined(self, grant: Grant, sellers: tuple[str, ...]) -> Grant:
        """The grant with those of some sellers that have not approved by themselves later."""
        joining = tuple(seller for seller in sellers if seller not in grant.sellers)
        if not joining:
            return grant
        others = (*await self._stored.of(joining), *self.unpersisted)
        joined = left_by(others, evolve(grant, sellers=joining))
        return evolve(grant, sellers=(*grant.sellers, *joined.sellers)) if joined else grant

    def _newer_approval(self, grant: Grant) -> Grant | None:
        """What its seller has approved since, where the store does not know."""
        waiting = self.unpersisted.get(grant.seller)
        is_newer = waiting is not None and waiting.authorization > grant.authorization
        return waiting if is_newer else None

    async def authorize(self, token: Token) -> Grant:
        """Keep what the seller has just granted: it replaces whatever there was."""
        with anyio.CancelScope(shield=True):  # its code is spent
            grant = await self._authorize(token)
        return grant  # noqa: RET504 - for type checkers a scope may end early

    async def _authorize(self, token: Token) -> Grant:
        waiting = self.unpersisted.of(names_of(token))

        def approved(stored: list[Grant]) -> Grant:
            return authorized(self.scope, token, newest(waiting, *stored))

        grant = approved([])
        superseded = waiting
        if waiting is not None and (others := apart(waiting, grant)) is not None:
            await self.unpersisted.add(others)
            superseded = None if others.seller == waiting.seller else waiting
        try:
            with anyio.fail_after(_PATIENCE):
                async with self._turn:
                    written = await self._stored.replace(names_of(token), approved)
        except Exception as error:  # noqa: BLE001 - a bug of somebody's store must not cost a pair
            await self._spill(grant, error)
            return grant
        if superseded is not None:
            await self.unpersisted.discard(superseded)
        return written

    async def _spill(self, grant: Grant, error: Exception) -> None:
        # Only our own words are known to hold no secret.
        said = error if isinstance(error, StoreError) else type(error).__name__
        _log.error("seller %s is not in the store, which failed: %s", grant.seller, said)
        await self.unpersisted.add(grant)

    async def recover(self) -> None:
        """Take over what an earlier process could only write to the journal."""
        await self.unpersisted.recover()
        await self.flush()

    async def flush(self) -> list[Grant]:
        """Write to the store what it does not have yet; what is there now."""
        written = []
        for grant in self.unpersisted:
            try:
                settled = await self._flush(grant.seller)
            except StoreError as error:
                if error.retryable:
                    break  # the store fails
            except Exception as error:  # noqa: BLE001 - one that cannot be written holds up no other
                _log.error("seller %s cannot be stored: %s", grant.seller, type(error).__name__)
            else:
                written += [] if settled is None else [settled]
        return written

    async def _flush(self, seller: str) -> Grant | None:
        try:
            with anyio.fail_after(_LONG_PATIENCE):
                async with self._turn:
                    return await self._flush_alone(seller)
        except TimeoutError as error:
            failure = StoreError(f"the store took no token of seller {seller} in a minute")
            failure.retryable = True
            raise failure from error

    async def _flush_alone(self, seller: str) -> Grant | None:
        waiting = self.unpersisted.get(seller)
        if waiting is None:
            return await self._stored.get(seller)
        settled = await self._stored.add(waiting)
        await self.unpersisted.discard(waiting)
        return settled

    async def forget(self, seller: str) -> bool:
        """Remove the grant that a seller finds; whether there was one."""
        grant = await self.load(seller)
        if grant is None:
            return False
        waiting = self.unpersisted.get(grant.seller)
        was_stored = await self._stored.remove(seller)
        if waiting is not None:
            await self.unpersisted.remove(waiting)
        return was_stored or waiting is not None

    def all(self) -> AsyncIterator[Grant]:
        """Every grant of the scope."""
        return self.unpersisted.before(Each(from_record, self._store.records(self.scope)))
