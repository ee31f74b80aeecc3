"""The refresh of one grant: intent, presentation, durable outcome, in this order."""

from __future__ import annotations

from datetime import datetime
from random import random as luck
from typing import Final, Protocol

import anyio
from attrs import evolve

from .._client import Client
from .._exceptions import (
    IopError,
    ProtocolError,
    ReauthorizationRequired,
    RefreshAmbiguous,
    StaleRecord,
    StoreError,
    TokenError,
)
from .._http.send_by import sending_by
from .._models import Token
from .._refresh import Freshness, RefreshPolicy
from ..protocols import Caller
from ._clock import Clock
from ._deadlines import is_dead, is_due, warned, warning_due
from ._events import Announcer, EventKind, TokenEvent
from ._gate import Gate
from ._grants import (
    LAST_WARNING,
    Grant,
    Intent,
    authorize_by,
    finished,
    intending,
    is_for_others,
    not_presented,
    renewed,
)
from ._outcomes import after_failure, after_short_lived, is_of_the_app
from ._rate import Rate
from ._vault import Vault

_LOOK_FIRST: Final = 0.05
_LOOK_LAST: Final = 1.0
"""Seconds between two looks at what another process makes of a grant."""

MAX_PRESENTATIONS: Final = 8
"""Of one refresh token, where process after process dies before its answer is stored."""


class TokenEndpoints(Protocol):
    """Where codes and refresh tokens are traded: ``iop_async.auth`` or ``iop_async.top``."""

    async def create_token(self, caller: Caller, *, code: str) -> Token: ...

    async def refresh_token(self, caller: Caller, *, refresh_token: str) -> Token: ...


class Refresher:
    """Refreshes grants, one presentation of a refresh token at a time for each.

    Args:
        concurrency: presentations under way at a time.
    """

    def __init__(
        self,
        client: Client,
        endpoints: TokenEndpoints,
        vault: Vault,
        *,
        policy: RefreshPolicy,
        clock: Clock,
        announcer: Announcer,
        concurrency: int,
        rate: Rate,
    ) -> None:
        self._client = client
        self._endpoints = endpoints
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._announcer = announcer
        self._slots = anyio.Semaphore(concurrency, fast_acquire=True)
        self._rate = rate
        self._presented: dict[tuple[tuple[int, int], str | None], anyio.Event] = {}
        self._unsent: dict[str, Intent] = {}
        self.gate = Gate()

    async def refresh(
        self, grant: Grant, *, rejected: str | None = None, only_due: bool = False
    ) -> Grant:
        """The successor of a grant.

        Args:
            rejected: an access token that the gateway refused; where the grant has a newer one by
                now, that is the answer.
            only_due: leave the grant as it is where it is not due: another process may have tried
                just now, and failed.

        Raises:
            ReauthorizationRequired, RefreshAmbiguous: nothing to present, or nothing safe.
            StoreError: the intent could not be written, so nothing was presented.
            IopError: what the gateway or the network said.
        """
        read = -1
        while True:
            leased = await self._lease(grant)
            is_newer = leased.age > grant.age
            is_another = rejected is not None and leased.token.access_token != rejected
            if is_newer or is_another or (only_due and not self._is_due(leased)):
                await self._vault.leases.give_back(leased.seller)
                return leased
            try:
                return await self._present(leased)
            except StaleRecord:
                # Who needs no lease was faster: a follower that asks, say. But a store that reads
                # the same again, and does not take it, answers from a replica that is behind.
                if leased.revision <= read:
                    raise
                read = leased.revision

    def _is_due(self, grant: Grant) -> bool:
        return is_due(grant, self._policy, self._clock.now())

    async def tend(self, grant: Grant) -> Grant:
        """Do what a claimed grant is due: warn, refresh, or only look again later."""
        now = self._clock.now()
        if (warning := warning_due(grant, now)) is not None:
            kind: EventKind = "reauthorize" if warning == LAST_WARNING else "authorize_by"
            self.announce(kind, grant, warning)
            grant = evolve(grant, warned=warned(grant, warning))
        if self._is_due(grant) and self.gate.is_open(now):
            if self._vault.leases.is_over(grant):
                return await self.refresh(grant, only_due=True)
            try:
                return await self._present(grant)
            except StaleRecord:
                return await self.refresh(grant, only_due=True)
        return await self._vault.keep(grant) or grant

    async def _lease(self, grant: Grant) -> Grant:
        """The lease, or the outcome of whoever has it."""
        pause = _LOOK_FIRST
        while True:
            leased = await self._vault.lease(grant)
            if leased is not None:
                return leased
            current = await self._vault.load(grant.seller)
            if current is None:
                raise ReauthorizationRequired(grant.seller, "the seller was forgotten")
            if current.age > grant.age:
                return current
            await anyio.sleep(pause)
            pause = min(pause * 2, _LOOK_LAST)

    async def _present(self, grant: Grant) -> Grant:
        # Sellers that were set apart while their refresh token was on its way have the same.
        pair = (grant.age, grant.token.refresh_token)
        if (answered := self._presented.get(pair)) is not None:
            await answered.wait()
            msg = f"the refresh token of seller {grant.seller} was presented for another seller"
            raise StaleRecord(msg)
        answered = self._presented[pair] = anyio.Event()
        try:
            return await self._present_alone(grant)
        finally:
            del self._presented[pair]
            answered.set()

    async def _present_alone(self, grant: Grant) -> Grant:
        now = self._clock.now()
        if grant.intent is not None and grant.intent == self._unsent.pop(grant.seller, None):
            grant = not_presented(grant)
        await self._require_presentable(grant, now)
        grant = await self._intend(intending(grant, now, self._vault.leases.holder))
        try:
            async with self._slots:
                await self._rate.wait()
                if (newer := await self._answer_to(grant)) is not None:
                    return newer
                with sending_by(self._vault.leases.end(grant)):
                    token = await self._endpoints.refresh_token(
                        self._client, refresh_token=grant.token.refresh_token or ""
                    )
        except IopError as error:
            kept = await self._settle_failure(grant, error)
            if kept is not None and kept.age > grant.age:
                return await self.refresh(kept, only_due=True) if self._is_due(kept) else kept
            raise
        except Exception as error:
            # A bug after the refresh token was presented must not look as if it had not been.
            await self._settle_failure(
                grant, ProtocolError(f"the answer broke the reader: {error!r}")
            )
            raise
        return await self._settle_success(grant, token)

    async def _intend(self, grant: Grant) -> Grant:
        try:
            return await self._vault.intend(grant)
        except StoreError:
            if grant.intent is not None:  # it may be stored all the same
                self._unsent[grant.seller] = grant.intent
            raise

    async def _answer_to(self, grant: Grant) -> Grant | None:
        """What came of the presentation before this one, if the store has it by now.

        Whoever made it may be alive: its lease ran out, and its answer came after the look at the
        store that this probe was decided by.
        """
        if grant.intent is None or not grant.intent.is_probe:
            return None
        current = await self._vault.load(grant.seller)
        if current is None or current.age <= grant.age:
            return None
        await self._vault.leases.give_back(current.seller)
        return current

    async def _require_presentable(self, grant: Grant, now: datetime) -> None:
        """Raises where there is nothing to present, and gives the lease back then."""
        if grant.intent is not None and grant.intent.presentations >= MAX_PRESENTATIONS:
            reason = "process after process died while refreshing it"
            grant = finished(grant, "ambiguous", reason)
            self.announce("ambiguous", grant, reason)
        try:
            self._check(grant, now)
        except IopError:
            await self._vault.keep(grant)
            raise

    def _check(self, grant: Grant, now: datetime) -> None:
        self.gate.require_open(now)
        token = grant.token
        if grant.state == "ambiguous":
            raise RefreshAmbiguous(grant.seller, grant.reason)
        if grant.state == "reauthorize":
            raise ReauthorizationRequired(grant.seller, grant.reason)
        if not token.refreshable:
            raise ReauthorizationRequired(grant.seller, "this authorization cannot be refreshed")
        if is_dead(grant, now):
            raise ReauthorizationRequired(grant.seller, "the refresh token has expired")

    async def _settle_success(self, grant: Grant, token: Token) -> Grant:
        now = self._clock.now()
        self.gate.open()
        if is_for_others(grant, token):
            reason = "the gateway answered with a token of another seller, which was kept aside"
            lost = finished(grant, "reauthorize", reason)
            await self._vault.keep(evolve(lost, candidates=(*lost.candidates, token)))
            self.announce("reauthorize", lost, reason)
            raise TokenError(f"seller {grant.seller}: {reason}")
        successor = renewed(grant, token)
        if self._policy.plan(successor.token, now).freshness is Freshness.MUST_WAIT:
            successor = after_short_lived(successor, grant.attempts, now, luck())
        kept = await self._vault.keep(successor, before=grant)
        if kept is None:
            raise ReauthorizationRequired(grant.seller, "the seller was forgotten meanwhile")
        if not self._vault.has_stored(kept):
            self.announce("unpersisted", kept, "the store failed")
        self.announce("refreshed", kept)
        return kept

    async def _settle_failure(self, grant: Grant, error: IopError) -> Grant | None:
        """What the grant is now, which may be a newer one than failed."""
        now = self._clock.now()
        if is_of_the_app(error):
            self.gate.shut(error, now)
        outcome = after_failure(grant, error, now, luck())
        kept = await self._vault.keep(outcome)
        if kept is None or kept.age != grant.age:
            return kept
        if kept.state == "reauthorize":
            if grant.intent and grant.intent.is_probe and not grant.intent.is_reported:
                self.announce("ambiguous", kept, "a process died between a refresh and its answer")
            self.announce("reauthorize", kept, kept.reason)
        elif kept.state == "ambiguous" or error.may_have_been_applied:
            self.announce("ambiguous", kept, kept.reason)
        else:
            self.announce("refresh_failed", kept, kept.reason)
        return kept

    def announce(self, kind: EventKind, grant: Grant, reason: str = "") -> None:
        """Tell whoever listens."""
        self._announcer.announce(
            TokenEvent(
                kind=kind,
                at=self._clock.now(),
                seller=grant.seller,
                reason=reason,
                deadline=authorize_by(grant),
            )
        )
