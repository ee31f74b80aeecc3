"""Grants in the store: read, written, and joined with what other processes wrote meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from attrs import evolve

from .._exceptions import StaleRecord
from .._models import Token
from .._refresh import RefreshPolicy
from ..protocols import TokenStore
from ._bodies import from_record, to_record
from ._deadlines import due_at
from ._grants import Grant, apart, has_pair, left_by, newest, still_warned, with_candidate
from ._leases import Leases


class Stored:
    """What the store has.

    Args:
        scope: app and platform of the grants.
        policy: when a grant must be looked at again.
        leases: of this process on the store's grants.
    """

    def __init__(
        self, store: TokenStore, *, scope: str, policy: RefreshPolicy, leases: Leases
    ) -> None:
        self._store = store
        self._scope = scope
        self._policy = policy
        self._leases = leases

    async def get(self, seller: str) -> Grant | None:
        """The grant that a seller finds."""
        record = await self._store.get(self._scope, seller)
        return None if record is None else from_record(record)

    async def of(self, sellers: Iterable[str]) -> list[Grant]:
        """The grants that some sellers find, each once."""
        found: list[Grant] = []
        for seller in dict.fromkeys(sellers):
            if not any(seller in one.sellers for one in found):
                grant = await self.get(seller)
                found += [] if grant is None else [grant]
        return found

    async def write(self, grant: Grant, *, release: bool = False) -> Grant:
        """Make a grant durable.

        Raises:
            StaleRecord: the stored one is newer, or gone.
            StoreError: the store failed.
        """
        record = to_record(grant, due_at=due_at(grant, self._policy))
        stored = await self._store.put(record, release=self._leases.holder if release else None)
        return evolve(grant, revision=stored.revision)

    async def remove(self, seller: str) -> bool:
        """Remove the grant that a seller finds; whether there was one."""
        return await self._store.remove(self._scope, seller)

    async def add(self, grant: Grant) -> Grant | None:
        """Write what could not be written when it came; what there is now.

        ``None`` where the seller was forgotten since.
        """
        stored = await self.of((grant.seller, *grant.sellers))
        current = _of_one_approval(stored, grant)
        if current is None:
            if not stored:
                return None if grant.revision else await self.write(grant)
            return await self._succeed(stored, grant)
        if current.version == grant.version:
            return await self.write(grant)
        if current.age > grant.age or (current.age == grant.age and has_pair(current, grant.token)):
            return current
        return await self.settle(grant, grant.token)

    async def settle(self, outcome: Grant, pair: Token | None) -> Grant | None:
        """Write the outcome of a refresh; what there is then.

        A later approval wins over it, and against a later pair of the same one, the ``pair`` that
        the refresh brought is kept as a candidate. ``None`` where the seller was forgotten.
        """
        grant = outcome
        while True:
            try:
                return await self.write(grant, release=True)
            except StaleRecord:
                stored = await self.of(outcome.sellers)
                current = _of_one_approval(stored, outcome)
                if current is None:
                    return await self._succeed(stored, outcome) if stored else None
                if current.generation < outcome.generation:
                    # A seller may have approved alone meanwhile, and be no longer of this grant.
                    grant = evolve(
                        outcome,
                        revision=current.revision,
                        warned=still_warned(current, outcome.token),
                        seller=current.seller,
                        sellers=current.sellers,
                    )
                elif pair is not None and not has_pair(current, pair):
                    grant = with_candidate(current, pair)
                elif current.age == outcome.age and self._is_ours(current):
                    told = outcome.warned | current.warned
                    grant = evolve(outcome, revision=current.revision, warned=told)
                    for candidate in current.candidates:
                        grant = with_candidate(grant, candidate)
                else:
                    return current

    def _is_ours(self, grant: Grant) -> bool:
        """Whether nobody else took over since this process presented the refresh token."""
        return grant.intent is not None and grant.intent.holder == self._leases.holder

    async def _succeed(self, stored: list[Grant], grant: Grant) -> Grant:
        """Write a grant in the place of earlier approvals, if it is not itself succeeded.

        The store has earlier ones where it failed when the approval came, or went back in time.
        """
        is_later = any(one.authorization < grant.authorization for one in stored)
        if is_later or not grant.revision:
            return await self.replace(grant.sellers, partial(left_by, grant=grant))
        return newest(*stored) or grant

    async def replace(
        self, sellers: Iterable[str], make: Callable[[list[Grant]], Grant | None]
    ) -> Grant:
        """Write a grant in the place of what there is for some sellers; what there is then.

        Args:
            make: the grant, given what there is; ``None`` where that is to stay.
        """
        while True:
            stored = await self.of(sellers)
            grant = make(stored)
            if grant is None:
                return max(stored, key=lambda one: one.age)
            revisions = {one.seller: one.revision for one in stored}
            try:
                if not await self._set_apart(stored, grant):
                    written = evolve(grant, revision=revisions.get(grant.seller, 0))
                    return await self.write(written, release=True)
            except StaleRecord:
                pass

    async def _set_apart(self, stored: list[Grant], grant: Grant) -> bool:
        """Give sellers that did not approve a record of their own, before theirs is replaced.

        Whether there were any. Where their refresh token is being presented it stays leased to
        whoever does that.
        """
        for one in stored:
            others = apart(one, grant) if one.seller in grant.sellers else None
            if others is not None:
                await self.write(others)
                if one.intent is not None:
                    await self._leases.lend(others.seller, one.intent.holder)
                return True
        return False


def _of_one_approval(stored: Iterable[Grant], grant: Grant) -> Grant | None:
    return next((one for one in stored if one.authorization == grant.authorization), None)
