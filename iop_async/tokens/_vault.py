"""Where grants are kept: in the store, and while that fails in the journal and in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Final

import anyio
from attrs import evolve

from .._exceptions import StaleRecord, StoreError
from .._models import Token
from .._records import Record
from .._refresh import RefreshPolicy
from ..protocols import TokenStore
from ..stores import SpillJournal
from ._cache import Cache
from ._deadlines import due_at
from ._each import Each
from ._grants import Grant, authorized, from_record, names_of, to_record, with_candidate
from ._leases import Leases

_log = logging.getLogger("iop_async.tokens")

_PATIENCE: Final = 10.0
"""Seconds that a store may take for an outcome, which goes to the journal then."""


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
        self._journal = journal
        self.scope = scope
        self._policy = policy
        self.leases = leases
        self._alone = alone
        self._unpersisted: dict[str, Grant] = {}

    @property
    def unpersisted(self) -> tuple[Grant, ...]:
        """Grants that the store does not have yet."""
        return tuple(self._unpersisted.values())

    async def load(self, seller: str) -> Grant | None:
        """The newest grant of a seller."""
        waiting = self._waiting_for((seller,))
        try:
            stored = await self._first_stored((seller,))
        except StoreError:
            if waiting is None:
                raise
            return waiting
        newest = _newest(stored, waiting)
        if newest is not waiting:
            await self._discard(waiting)
        return None if newest is None else self._newest_seen(newest)

    def _newest_seen(self, stored: Grant) -> Grant:
        """The grant, or a newer one that was seen in the store before it lost that."""
        seen = self._cache.get(stored.seller)
        if seen is None or seen.age <= stored.age:
            return stored
        _log.error("the store has an older token of seller %s than before", stored.seller)
        return self._unpersisted.setdefault(seen.seller, seen)

    def has_stored(self, grant: Grant) -> bool:
        """Whether the store has the grant, and not only the journal and memory."""
        return self._unpersisted.get(grant.seller) != grant

    async def lease(self, grant: Grant) -> Grant | None:
        """The grant, read again and leased; ``None`` where somebody else refreshes it.

        A lease of one's own is lengthened.
        """
        waiting = self._unpersisted.get(grant.seller)
        if waiting is not None:
            try:
                await self._flush(waiting)  # or others find it due, and no lease on it
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
        if record.seller in self._unpersisted:
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

    async def write(self, grant: Grant, *, release: bool = False) -> Grant:
        """Make a grant durable in the store.

        Raises:
            StaleRecord: the stored one is newer, or gone.
            StoreError: the store failed.
        """
        record = self._record(grant)
        stored = await self._store.put(record, release=self.leases.holder if release else None)
        return evolve(grant, revision=stored.revision)

    async def intend(self, grant: Grant) -> Grant:
        """Make it durable that a refresh token is about to be presented.

        Raises:
            StaleRecord: the stored one is newer, or gone.
            StoreError: the store failed, and so did the journal where one may go on alone.
        """
        try:
            return await self.write(grant)
        except StaleRecord:
            raise
        except StoreError:
            if not self._alone or self._journal is None:
                raise
            await self._journal.append(self._record(grant))
            self._unpersisted[grant.seller] = grant
            return grant

    async def want(self, grant: Grant, now: datetime) -> None:
        """Let whoever keeps the store's grants refresh this one, due or not."""
        try:
            await self.write(evolve(grant, wanted_at=now))
        except StaleRecord:
            return  # somebody has just done something about it

    async def keep(self, grant: Grant, *, pair: Token | None = None) -> Grant | None:
        """Make the outcome of a refresh durable, whatever happens; the grant to go on with.

        ``None`` where the seller was forgotten meanwhile. A later authorization wins over the
        outcome; against a later pair of the same one, the ``pair`` that the refresh brought is
        kept as a candidate.
        """
        with anyio.CancelScope(shield=True):  # what is kept here is nowhere else
            kept = await self._keep(grant, pair)
        return kept  # noqa: RET504 - for type checkers a scope may end early

    async def _keep(self, grant: Grant, pair: Token | None) -> Grant | None:
        try:
            with anyio.fail_after(_PATIENCE):  # a process that dies now takes the pair along
                kept = await self._settle(grant, pair)
        except Exception as error:  # noqa: BLE001 - a bug of somebody's store must not cost a pair
            if self._is_superseded(grant):
                return self._unpersisted[grant.seller]
            await self._spill(grant, error)
            return grant
        finally:
            self.leases.forget(grant.seller)
        return self._unpersisted[grant.seller] if self._is_superseded(grant) else kept

    def _is_superseded(self, grant: Grant) -> bool:
        """Whether its seller has approved again, and the store does not know."""
        waiting = self._unpersisted.get(grant.seller)
        return waiting is not None and waiting.authorization > grant.authorization

    async def authorize(self, token: Token) -> Grant:
        """Keep what the seller has just granted: it replaces whatever there was."""
        with anyio.CancelScope(shield=True):  # its code is spent
            grant = await self._authorize(token)
        return grant  # noqa: RET504 - for type checkers a scope may end early

    async def _authorize(self, token: Token) -> Grant:
        waiting = self._waiting_for(names_of(token))
        grant = authorized(self.scope, token, waiting)
        superseded = waiting
        if waiting is not None and (others := _apart(waiting, grant)) is not None:
            await self._wait(others)
            superseded = None if others.seller == waiting.seller else waiting
        try:
            with anyio.fail_after(_PATIENCE):
                written = await self._replace(token, waiting)
        except Exception as error:  # noqa: BLE001 - a bug of somebody's store must not cost a pair
            await self._spill(grant, error)
            return grant
        await self._discard(superseded)
        return written

    async def _replace(self, token: Token, waiting: Grant | None) -> Grant:
        sellers = names_of(token)
        while True:
            stored = await self._first_stored(sellers)
            grant = authorized(self.scope, token, _newest(waiting, stored))
            revision = 0
            try:
                if stored is not None and stored.seller == grant.seller:
                    if await self._set_apart(stored, grant):
                        continue
                    revision = stored.revision
                return await self.write(evolve(grant, revision=revision), release=True)
            except StaleRecord:
                continue

    async def _set_apart(self, stored: Grant, grant: Grant) -> bool:
        """Give the sellers that did not approve a record of their own, before theirs is replaced.

        Whether there were any.
        """
        others = _apart(stored, grant)
        if others is not None:
            await self.write(others)
        return others is not None

    def _waiting_for(self, sellers: Iterable[str]) -> Grant | None:
        wanted = set(sellers)
        waiting = self._unpersisted.values()
        return next((grant for grant in waiting if not wanted.isdisjoint(grant.sellers)), None)

    async def _first_stored(self, sellers: Iterable[str]) -> Grant | None:
        for seller in sellers:
            record = await self._store.get(self.scope, seller)
            if record is not None:
                return from_record(record)
        return None

    async def _discard(self, waiting: Grant | None) -> None:
        """Drop what waited for the store and is there, or is superseded."""
        if waiting is None:
            return
        if self._unpersisted.get(waiting.seller) is waiting:
            del self._unpersisted[waiting.seller]
        if self._journal is not None:
            await self._journal.remove([self._record(waiting)])

    async def _settle(self, outcome: Grant, pair: Token | None) -> Grant | None:
        grant = outcome
        while True:
            try:
                return await self.write(grant, release=True)
            except StaleRecord:
                current = await self._current(outcome)
                if current is None or current.authorization != outcome.authorization:
                    return current
                if current.generation < outcome.generation:
                    # A seller may have approved alone meanwhile, and be no longer of this grant.
                    grant = evolve(
                        outcome,
                        revision=current.revision,
                        warned=current.warned,
                        seller=current.seller,
                        sellers=current.sellers,
                    )
                elif pair is not None and pair not in (current.token, *current.candidates):
                    grant = with_candidate(current, pair)
                elif current.age == outcome.age and self._is_ours(current):
                    grant = evolve(outcome, revision=current.revision)
                else:
                    return current

    def _is_ours(self, grant: Grant) -> bool:
        """Whether nobody else took over since this process presented the refresh token."""
        return grant.intent is not None and grant.intent.holder == self.leases.holder

    async def _current(self, grant: Grant) -> Grant | None:
        """What the store has of the same authorization, or else has for its sellers."""
        current = None
        for seller in grant.sellers:
            stored = await self._first_stored((seller,))
            if stored is not None and stored.authorization == grant.authorization:
                return stored
            current = current or stored
        return current

    async def _spill(self, grant: Grant, error: Exception) -> None:
        # Only our own words are known to hold no secret.
        said = error if isinstance(error, StoreError) else type(error).__name__
        _log.error("seller %s is not in the store, which failed: %s", grant.seller, said)
        await self._wait(grant)

    async def _wait(self, grant: Grant) -> None:
        """Let a grant wait for the store, in memory and in the journal."""
        self._unpersisted[grant.seller] = grant
        if self._journal is None:
            _log.critical("there is no journal: seller %s is in memory only", grant.seller)
            return
        try:
            await self._journal.append(self._record(grant))
        except (OSError, StoreError) as failure:
            _log.critical("nor in the journal: %s; it is in memory only", failure)

    async def recover(self) -> None:
        """Take over what an earlier process could only write to the journal."""
        if self._journal is not None:
            for record in await self._journal.records():
                if record.scope == self.scope:
                    self._unpersisted.setdefault(record.seller, from_record(record))
        await self.flush()

    async def flush(self) -> list[Grant]:
        """Write to the store what it does not have yet; what is there now."""
        written = []
        for grant in self.unpersisted:
            try:
                settled = await self._flush(grant)
            except StoreError as error:
                if error.retryable:
                    break  # the store fails
                continue
            if settled is not None:
                written.append(settled)
        return written

    async def _flush(self, grant: Grant) -> Grant | None:
        settled = await self._settle_or_insert(grant)
        await self._discard(grant)
        return settled

    async def _settle_or_insert(self, grant: Grant) -> Grant | None:
        stored = await self._first_stored(grant.sellers)
        if stored is None:
            return None if grant.revision else await self.write(grant)
        if stored.age == grant.age and stored.revision == grant.revision and grant.intent:
            return await self.write(grant)
        if _newest(stored, grant) is stored:
            return stored
        if stored.authorization < grant.authorization:
            grant = evolve(grant, revision=stored.revision)
        return await self._settle(grant, grant.token)

    async def forget(self, seller: str) -> bool:
        """Remove the grant that a seller finds; whether there was one."""
        grant = await self.load(seller)
        if grant is None:
            return False
        waiting = self._unpersisted.get(grant.seller)
        was_stored = await self._store.remove(self.scope, seller)
        await self._discard(waiting)
        return was_stored or waiting is not None

    def all(self) -> AsyncIterator[Grant]:
        """Every grant of the scope."""

        def grant(record: Record) -> Grant:
            return self._unpersisted.get(record.seller) or from_record(record)

        return Each(grant, self._store.records(self.scope))

    def _record(self, grant: Grant) -> Record:
        return to_record(grant, due_at=due_at(grant, self._policy))


def _apart(grant: Grant, approved: Grant) -> Grant | None:
    """The grant as it goes on for its sellers that did not approve, if there are any."""
    others = tuple(seller for seller in grant.sellers if seller not in approved.sellers)
    return evolve(grant, seller=others[0], sellers=others, revision=0) if others else None


def _newest(*grants: Grant | None) -> Grant | None:
    """The newest; the first of several that are."""
    known = [grant for grant in grants if grant is not None]
    return max(known, key=lambda grant: grant.age, default=None)
