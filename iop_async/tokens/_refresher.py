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
    TokenError,
)
from .._models import Token
from .._refresh import Freshness, RefreshPolicy
from ..protocols import Caller
from ._clock import Clock
from ._deadlines import refresh_at, warned, warning_due
from ._events import Announcer, EventKind, TokenEvent
from ._gate import Gate
from ._grants import Grant, authorize_by, finished, intending, is_for_others, renewed
from ._outcomes import after_failure, after_short_lived, is_of_the_app
from ._rate import Rate
from ._vault import Vault

_ADOPT_EVERY: Final = 0.1

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
        self.gate = Gate()

    async def refresh(self, grant: Grant, *, rejected: str | None = None) -> Grant:
        """The successor of a grant, whether or not it is due.

        Args:
            rejected: an access token that the gateway refused; where the grant has a newer one by
                now, that is the answer.

        Raises:
            ReauthorizationRequired, RefreshAmbiguous: nothing to present, or nothing safe.
            StoreError: the intent could not be written, so nothing was presented.
            IopError: what the gateway or the network said.
        """
        leased = await self._lease(grant)
        is_newer = leased.generation > grant.generation
        if is_newer or (rejected is not None and leased.token.access_token != rejected):
            await self._vault.release(leased)
            return leased
        return await self._present(leased)

    async def tend(self, grant: Grant) -> Grant:
        """Do what a claimed grant is due: warn, refresh, or only look again later."""
        now = self._clock.now()
        if (warning := warning_due(grant, now)) is not None:
            kind: EventKind = "reauthorize" if warning == "now" else "authorize_by"
            self.announce(kind, grant, warning)
            grant = evolve(grant, warned=warned(grant, warning))
        moment = refresh_at(grant, self._policy)
        if moment is not None and moment <= now and self.gate.is_open(now):
            return await self._present(grant)
        return await self._vault.keep(grant) or grant

    async def _lease(self, grant: Grant) -> Grant:
        """The lease, or the outcome of whoever has it."""
        while True:
            leased = await self._vault.lease(grant)
            if leased is not None:
                return leased
            current = await self._vault.load(grant.seller)
            if current is None:
                raise ReauthorizationRequired(grant.seller, "the seller was forgotten")
            if current.generation > grant.generation:
                return current
            await anyio.sleep(_ADOPT_EVERY)

    async def _present(self, grant: Grant) -> Grant:
        now = self._clock.now()
        await self._require_presentable(grant, now)
        grant = await self._vault.write(intending(grant, now, self._vault.holder))
        try:
            async with self._slots:
                await self._rate.wait()
                token = await self._endpoints.refresh_token(
                    self._client, refresh_token=grant.token.refresh_token or ""
                )
        except IopError as error:
            await self._settle_failure(grant, error)
            raise
        except Exception as error:
            # A bug after the refresh token was presented must not look as if it had not been.
            await self._settle_failure(
                grant, ProtocolError(f"the answer broke the reader: {error!r}")
            )
            raise
        return await self._settle_success(grant, token)

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
        horizon = token.refresh_expires_at
        if grant.state == "ambiguous":
            raise RefreshAmbiguous(grant.seller, grant.reason)
        if grant.state == "reauthorize":
            raise ReauthorizationRequired(grant.seller, grant.reason)
        if not token.refreshable:
            raise ReauthorizationRequired(grant.seller, "this authorization cannot be refreshed")
        if horizon is not None and now >= horizon:
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
        kept = await self._vault.keep(successor)
        if kept is None:
            raise ReauthorizationRequired(grant.seller, "the seller was forgotten meanwhile")
        if not self._vault.has_stored(kept):
            self.announce("unpersisted", kept, "the store failed")
        self.announce("refreshed", kept)
        return kept

    async def _settle_failure(self, grant: Grant, error: IopError) -> None:
        now = self._clock.now()
        if is_of_the_app(error):
            self.gate.shut(error, now)
        outcome = after_failure(grant, error, now, luck())
        kept = await self._vault.keep(outcome)
        if kept is None or kept.generation != outcome.generation:
            return
        if kept.state == "reauthorize":
            if grant.intent and grant.intent.is_probe and not grant.intent.is_reported:
                self.announce("ambiguous", kept, "a process died between a refresh and its answer")
            self.announce("reauthorize", kept, kept.reason)
        elif kept.state == "ambiguous" or error.may_have_been_applied:
            self.announce("ambiguous", kept, kept.reason)
        else:
            self.announce("refresh_failed", kept, kept.reason)

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
