"""The refresh of one grant: decide, lease, intent, present, keep."""

from __future__ import annotations

from random import random
from typing import Final

import anyio

from .._clock import Clock
from .._exceptions import (
    IopError,
    ProtocolError,
    StaleRecord,
    StoreError,
    TokenError,
    UnknownSeller,
)
from .._models import Token
from .._refresh import Freshness, RefreshPolicy
from .._values import changed
from ..endpoints._token_answer import doubtful_lifetimes
from ._admission import Place
from ._events import Announcer
from ._grant import Grant, Intent, is_due, plausible, warning_due
from ._presentations import Presentations
from ._presenter import Answer, NotSent, Presenter
from ._reminders import Reminders
from ._transitions import (
    WHEN_CLAIMED,
    WHEN_DUE,
    RefreshRequest,
    intending,
    is_for_others,
    not_presented,
    refused,
    renewed,
    require_presentable,
)
from ._vault import Vault
from ._verdicts import (
    Verdict,
    after_another_s_answer,
    after_failure,
    after_short_lived,
    died,
    recovered,
    verdict_on,
)

_POLL_MIN: Final = 0.05
_POLL_MAX: Final = 1.0
"""Seconds between two looks at what another process makes of a grant."""

_UNREAD: Final = (
    "; the answer was kept, as it may hold the new token: see TokenManager.unread, and tell the "
    "authors of this library what it looks like"
)


class Refresher:
    """Refreshes grants, one presentation of a refresh token at a time for each.

    Args:
        presenter: makes the request that spends a refresh token.
        presentations: judge what the gateway answers to all sellers; theirs is the gate.
    """

    def __init__(
        self,
        presenter: Presenter,
        vault: Vault,
        *,
        policy: RefreshPolicy,
        clock: Clock,
        announcer: Announcer,
        presentations: Presentations,
    ) -> None:
        self._presenter = presenter
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._announcer = announcer
        self._presentations = presentations
        self._gate = presentations.gate
        self._reminders = Reminders(clock, announcer)
        self._unsent: dict[str, Intent] = {}

    async def refresh(
        self, grant: Grant, request: RefreshRequest, place: Place | None = None
    ) -> Grant:
        """The successor of a grant.

        Args:
            place: of a caller, given to others while another process has the lease.

        Raises:
            ReauthorizationRequired, RefreshAmbiguous: nothing to present, or nothing safe.
            StoreError: the intent could not be written, so nothing was presented.
            IopError: what the gateway or the network said.
        """
        stale_revision = -1
        while True:
            # Lease: from here on nobody else presents this refresh token.
            leased = await self._lease(grant, request, place)
            # Decide: inside the lease, by what the record says now.
            if self._is_served(leased, request, than=grant):
                return await self._give_back(leased)
            if leased.unread and (token := recovered(leased)) is not None:
                return await self._keep_success(leased, token)
            try:
                async with self._presentations.one_at_a_time(leased):
                    # Intent: durable before the refresh token is spent.
                    intended = await self._intend(leased, request)
                    # Present: the one request that spends it.
                    answer = await self._presenter.present(intended, by_hand=request.by_hand)
                    # Keep: the outcome is durable before anybody sees it.
                    return await self._keep(intended, answer)
            except StaleRecord:
                # Who needs no lease was faster: a follower that asks, say. But a store that reads
                # the same again, and does not take it, answers from a replica that is behind.
                if leased.revision <= stale_revision:
                    raise
                if request.is_claimed:
                    request = WHEN_DUE
                else:
                    stale_revision = leased.revision

    async def retry(self, seller_id: str) -> Grant:
        """Refresh a seller whose refresh failed while much did, without waiting any longer."""
        grant = await self._vault.find(seller_id, reload=True)
        at_once, now = self._at_once(grant), self._clock.now()
        if not grant.attempts or not is_due(at_once, self._policy, now):
            return grant
        leased = await self._vault.lease(grant)
        if leased is None or leased.age > grant.age:
            return leased or grant
        return await self.refresh(self._at_once(leased), WHEN_CLAIMED)

    def _at_once(self, grant: Grant) -> Grant:
        # Not without a time: an intent that was presented more than once would name a later one.
        return changed(grant, retry_at=self._clock.now())

    async def renew_or_warn(self, grant: Grant) -> Grant:
        """Do what a claimed grant is due: warn, refresh, or only look again later."""
        grant, now = self._reminders.tell(grant), self._clock.now()
        if is_due(grant, self._policy, now) and self._gate.room:
            is_over = self._vault.leases.is_over(grant)
            return await self.refresh(grant, WHEN_DUE if is_over else WHEN_CLAIMED)
        if warning_due(grant, now) is not None:
            return grant  # not told by a clock in doubt: looked at again when its lease is over
        return await self._vault.keep(plausible(grant, now)) or grant

    async def _lease(self, grant: Grant, request: RefreshRequest, place: Place | None) -> Grant:
        """The lease, or the outcome of whoever has it. Raises what shut the gate, if it is shut."""
        try:
            self._gate.require_passable(by_hand=request.by_hand)
        except IopError:
            if request.is_claimed:  # or nobody could claim it before the lease ends by itself
                await self._give_back(grant)
            raise
        if request.is_claimed:
            return grant
        pause = _POLL_MIN
        while (leased := await self._vault.lease(grant)) is None:
            current = await self._vault.load(grant.seller_id)
            if current is None:
                raise UnknownSeller(grant.seller_id, "the seller was forgotten")
            if current.age > grant.age:
                return current
            await (anyio.sleep(pause) if place is None else place.step_aside(pause))
            pause = min(pause * 2, _POLL_MAX)
        return leased

    async def _give_back(self, grant: Grant) -> Grant:
        await self._vault.leases.give_back(grant.seller_id)
        return grant

    def _is_served(self, grant: Grant, request: RefreshRequest, *, than: Grant) -> bool:
        """Whether a refresh of ``than`` needs no presentation any more."""
        is_early = request.only_due and not is_due(grant, self._policy, self._clock.now())
        return is_early or request.is_served_by(grant, than=than)

    async def _intend(self, grant: Grant, request: RefreshRequest) -> Grant:
        now = self._clock.now()
        if grant.intent is not None and grant.intent == self._unsent.pop(grant.seller_id, None):
            grant = not_presented(grant)
        try:
            require_presentable(grant, request, now)
        except IopError:
            await self._vault.keep(grant)
            raise
        intended = intending(grant, now, self._vault.leases.holder)
        try:
            return await self._vault.intend(intended)
        except StoreError:
            if intended.intent is not None:  # it may be stored all the same
                self._unsent[grant.seller_id] = intended.intent
            raise

    async def _keep(self, grant: Grant, answer: Answer) -> Grant:
        error: Exception
        match answer:
            case Token():
                return await self._keep_success(grant, answer)
            case Grant():
                return await self._give_back(answer)
            case NotSent():
                kept, error = await self._vault.keep(not_presented(grant)), answer.error
            case IopError():
                kept, error = await self._keep_failure(grant, answer), answer
            case _:
                broken = ProtocolError(f"the answer broke the reader: {answer!r}")
                kept, error = await self._keep_failure(grant, broken), answer
        if kept is None or kept.age <= grant.age:
            is_refused = isinstance(answer, IopError) and verdict_on(answer) is Verdict.REFUSED
            if kept is not None and is_refused and not self._presentations.in_incident:
                raise refused(grant.seller_id, kept, self._clock.now()) from error
            raise error
        is_due_again = is_due(kept, self._policy, self._clock.now())
        return await self.refresh(kept, WHEN_DUE) if is_due_again else kept

    async def _keep_success(self, grant: Grant, token: Token) -> Grant:
        now = self._clock.now()
        if is_for_others(grant, token):
            outcome = after_another_s_answer(grant, token, now, random())
            await self._vault.keep(outcome)
            error = TokenError(f"seller {grant.seller_id}: {outcome.reason}")
            error.retryable = True
            self._presentations.refused(grant, error)
            if grant.intent is None or not grant.intent.is_reported:
                self._announcer.tell("ambiguous", now, outcome, outcome.reason)
            raise error
        successor = renewed(grant, token)
        if self._policy.freshness(successor.token, now) is Freshness.MUST_WAIT:
            successor = after_short_lived(successor, grant.attempts, now, random())
        kept = await self._vault.keep(successor, before=grant)
        if kept is None:
            raise UnknownSeller(grant.seller_id, "the seller was forgotten meanwhile")
        if not self._vault.has_stored(kept):
            self._announcer.tell("unpersisted", now, kept, self._vault.unpersisted.why(kept))
        if doubts := doubtful_lifetimes(token):
            self._announcer.tell("doubtful_lifetime", now, kept, ", ".join(doubts))
        self._announcer.tell("refreshed", now, kept)
        return kept

    async def _keep_failure(self, grant: Grant, error: IopError) -> Grant | None:
        """What the grant is now, which may be a newer one than failed."""
        now = self._clock.now()
        in_incident = self._presentations.in_incident
        outcome = after_failure(grant, error, now, random(), in_incident=in_incident)
        kept = await self._vault.keep(outcome)
        if kept is None or kept.age != grant.age:
            return kept
        if kept.state == "reauthorize":
            if grant.state != "reauthorize":  # told of once, however often somebody asks
                self._announcer.tell("reauthorize", now, kept, kept.reason)
        elif verdict_on(error) is Verdict.UNANSWERED:
            if grant.intent is None or not grant.intent.is_reported:  # told of once
                told = f"{kept.reason}{_UNREAD}" if kept.unread else kept.reason
                self._announcer.tell("ambiguous", now, kept, told)
        elif kept.refused_at is not None and grant.refused_at is None and died(grant):
            reason = f"a process died between a refresh and its answer: {kept.reason}"
            self._announcer.tell("ambiguous", now, kept, reason)
        else:
            self._announcer.tell("refresh_failed", now, kept, kept.reason)
        return kept
