"""A manager between entering and leaving: every refresh, and the tasks around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final

import anyio

from .._clock import Clock
from .._exceptions import IopError, NotPersisted, TokenError
from .._logs import own_logger
from .._models import Token
from .._refresh import Freshness, RefreshPolicy
from ..calling import Shut
from ._admission import Admission
from ._approvals import Succeeds
from ._events import Announcer
from ._follower import Follower
from ._grant import Grant, is_due, renews_by
from ._keeper import Keeper
from ._lease_renewal import renew_leases
from ._presentations import Presentations
from ._refresher import Refresher
from ._single_flight import Background, Flight, Refresh, SingleFlight
from ._transitions import WHEN_DUE, RefreshRequest, refusal
from ._vault import Vault
from ._verdicts import is_store_failure

_log = own_logger("iop_async.tokens")

_LAST_TRY_TIMEOUT: Final = 5.0
"""Seconds for the store to take, in the end, what it did not take before."""

_MAX_TRIES: Final = 5
"""Refreshes that one question may lead to: each presents a refresh token for real."""


class Running:
    """Owns every refresh: whoever asks for one waits for it, and nobody's leaving ends it.

    Args:
        follower: asks other processes to refresh instead of the ``refresher``.
        presentations: judge what the gateway answers to all sellers.
        capacity: grants that the keeper renews at a time; with 0 it only writes to the store
            what that did not take before.
        places: refreshes under way at a time that callers asked for.
        lease_seconds: how long a lease lasts unless it is renewed.
        drain_seconds: how long the end waits for refreshes under way.

    Attributes:
        background: holds the tasks, and knows in which event loop they run.
        flights: the refreshes under way.
        keeper: starts those that fall due.
    """

    def __init__(
        self,
        refresher: Refresher,
        follower: Follower | None,
        vault: Vault,
        *,
        policy: RefreshPolicy,
        clock: Clock,
        announcer: Announcer,
        presentations: Presentations,
        capacity: int,
        places: int,
        lease_seconds: float,
        drain_seconds: float,
    ) -> None:
        self._refresher = refresher
        self._follower = follower
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._announcer = announcer
        self.presentations = presentations
        self._gate = presentations.gate
        self._admission = Admission(places)
        self._lease_seconds = lease_seconds
        self._drain_seconds = drain_seconds
        self.background = Background(self.report, drain=self._drain, at_end=self._end)
        self.flights = SingleFlight(self.background)
        self.keeper = Keeper(
            vault,
            self.background,
            self.flights,
            presentations,
            retry=self.retry,
            renew_or_warn=self.renew_or_warn,
            clock=clock,
            capacity=capacity,
            pause=lease_seconds / 20,
            on_error=self.report,
        )

    async def token(self, seller_id: str) -> Token:
        """A token that is good now, refreshed first where it would expire any moment."""
        token = await self._serve(seller_id, await self._vault.find(seller_id))
        if token is None:
            # What is in memory may be older than what another process stored.
            grant = await self._vault.find(seller_id, reload=True)
            token = await self._serve(seller_id, grant)
            if token is None:
                raise refusal(seller_id, grant, self._clock.now())
        return token

    async def _serve(self, seller_id: str, grant: Grant) -> Token | None:
        """The token, or its successor; ``None`` where it is over and may not be refreshed now."""
        token, now = grant.token, self._clock.now()
        freshness = self._policy.freshness(token, now)
        if freshness is Freshness.FRESH:
            return token
        must_wait = freshness is Freshness.MUST_WAIT
        if is_due(grant, self._policy, now) and (must_wait or self._gate.room):
            flight = self._join(grant, WHEN_DUE)
            if must_wait:
                self._admission.hurry(grant.seller_id)
                try:
                    successor = await flight.outcome()
                    if seller_id not in successor.seller_ids:
                        return None
                    token, now = successor.token, self._clock.now()
                except IopError:
                    now = self._clock.now()
                    if _is_over(token, now):
                        raise
        return None if _is_over(token, now) else token

    async def successor(
        self, seller_id: str, *, rejected: str | None = None, by_hand: bool = False
    ) -> Token:
        """A newer token, or one other than ``rejected``; joins a refresh that is under way."""
        grant = await self._vault.find(seller_id)
        if rejected is not None and grant.token.access_token != rejected:
            return grant.token
        request = RefreshRequest(rejected=rejected, by_hand=by_hand)
        for _ in range(_MAX_TRIES):
            successor = await self._join(grant, request).outcome()
            if seller_id not in successor.seller_ids:  # others approved alone, and took it over
                grant = await self._vault.find(seller_id, reload=True)
                continue
            # A flight that was joined may have left a grant as it is, which was not due.
            if successor.age > grant.age or successor.token != grant.token:
                return successor.token
        raise _restless(seller_id)

    def _join(self, grant: Grant, request: RefreshRequest) -> Flight:
        refresh = partial(self._refresh, grant, request)
        return self.flights.join(
            grant.seller_id,
            partial(self._remembered, grant.seller_id, refresh, self._vault.cache.put),
            drained=self._follower is None,
        )

    async def _refresh(self, grant: Grant, request: RefreshRequest) -> Grant:
        if self._follower is not None:
            return await self._follower.refresh(grant, request)
        freshness = self._policy.freshness(grant.token, self._clock.now())
        is_waited_for = freshness is Freshness.MUST_WAIT or request.by_hand or request.rejected
        async with self._admission.place(grant.seller_id, is_urgent=bool(is_waited_for)) as place:
            return await self._refresher.refresh(grant, request, place)

    async def _remembered(
        self, seller_id: str, refresh: Refresh, remember: Callable[[Grant], None]
    ) -> Grant:
        try:
            successor = await refresh()
        except IopError as error:
            # What is in memory is all there is to serve while the store fails.
            if not is_store_failure(error):
                self._vault.cache.drop(seller_id)
            raise
        remember(successor)
        if not self._vault.has_stored(successor):
            self.keeper.wake()
        return successor

    async def ban_over(self) -> None:
        """Return when no ban holds refreshes up any more."""
        while self._gate.shut_by is Shut.BAN and (left := self._gate.seconds_left):
            await self._clock.sleep(left)

    async def renew_or_warn(self, grant: Grant) -> Grant:
        """Do what a claimed grant is due; what is in memory follows."""
        renew = partial(self._refresher.renew_or_warn, grant)
        return await self._remembered(grant.seller_id, renew, self._vault.cache.update)

    async def retry(self, seller_id: str) -> Grant:
        """Refresh a seller whose refresh failed while much did; what is in memory follows."""
        retry = partial(self._refresher.retry, seller_id)
        return await self._remembered(seller_id, retry, self._vault.cache.update)

    async def authorize(
        self, trade: Callable[[], Awaitable[Token]], *, succeeds: Succeeds | None = None
    ) -> Grant:
        """Keep the grant that a trade brings, whoever stops waiting for it.

        Args:
            succeeds: see :meth:`Approvals.keep`.
        """
        flight = Flight()
        self.background.start_soon(partial(flight.run, partial(self._authorize, trade, succeeds)))
        return await flight.outcome()

    async def _authorize(
        self, trade: Callable[[], Awaitable[Token]], succeeds: Succeeds | None
    ) -> Grant:
        grant = await self._vault.approvals.keep(await trade(), succeeds=succeeds)
        self._vault.cache.put(grant)
        self.keeper.wake()
        if not self._vault.has_stored(grant):
            self._tell_unpersisted(grant)
        if not self._vault.unpersisted.is_durable(grant):
            raise NotPersisted(grant.seller_id, grant.token)
        return grant

    def _tell_unpersisted(self, grant: Grant) -> None:
        reason = self._vault.unpersisted.why(grant)
        self._announcer.tell("unpersisted", self._clock.now(), grant, reason)

    async def tell_expiry(self, seller_id: str, ends_at: datetime | None) -> bool:
        """Tell of an end that the platform told of; whether it is one that concerns a person."""
        grant = await self._vault.find(seller_id, reload=True)
        if ends_at is not None and renews_by(grant, ends_at):
            return False
        self._announcer.tell(
            "authorize_by", self._clock.now(), grant, "the platform says so", deadline=ends_at
        )
        return True

    async def forget(self, seller_id: str) -> bool:
        """Remove a seller's grant; whether there was one."""
        return await self._vault.forget(seller_id)

    def report(self, error: Exception) -> None:
        """Tell of an error that is no failed refresh."""
        _log.warning("the token manager met an error and goes on: %s", type(error).__name__)
        reason = f"{type(error).__name__}: {error}"
        self._announcer.tell("error", self._clock.now(), reason=reason)

    async def start(self) -> None:
        """Look at what the pairs are kept in, take over what is in the journal, start the tasks.

        Raises:
            StoreError: the store or the journal is of no use as it is.
        """
        failure = await self._vault.check()
        if failure is not None:
            self._announcer.tell("error", self._clock.now(), reason=str(failure))
        await self._vault.recover()
        await self.background.start()
        self._announcer.open()
        self.background.serve("keeper", self.keeper.run)
        renew = partial(
            renew_leases,
            self._vault.leases,
            self.flights,
            lease_seconds=self._lease_seconds,
            on_error=self.report,
        )
        self.background.serve("renewal of leases", renew)

    async def aclose(self) -> None:
        """Let refreshes under way end within ``drain_seconds``; then stop.

        Where the event loop that it ran in is over, only write what the store does not have yet.
        """
        self.keeper.stop()
        is_over = self.background.place == "over"
        await self.background.aclose()
        if is_over:
            self._vault.start_over()
            await self._end()

    async def _drain(self) -> None:
        self.keeper.stop()
        if not await self.background.drain(self._drain_seconds):
            left = ", ".join(sorted(self.flights.seller_ids))
            _log.warning("closed before these refreshes had an answer: %s", left)

    async def _end(self) -> None:
        unpersisted = self._vault.unpersisted
        try:
            with anyio.move_on_after(_LAST_TRY_TIMEOUT, shield=True):
                await self._vault.flush()
            await unpersisted.save()
        except Exception as error:  # noqa: BLE001 - whatever it is, this is the end
            self.report(error)
        lost = unpersisted.in_memory_only
        if lost:
            _log.critical(
                "left with tokens that neither the store nor a journal took: sellers %s must "
                "authorize again, unless this process enters the same manager again",
                ", ".join(sorted(grant.seller_id for grant in lost)),
            )
        elif left := [grant.seller_id for grant in unpersisted]:
            _log.warning("left in the journal until the store is back: %s", ", ".join(sorted(left)))
        for grant in lost:
            self._tell_unpersisted(grant)
        self._announcer.close()


def _is_over(token: Token, now: datetime) -> bool:
    return token.expires_at is not None and now >= token.expires_at


def _restless(seller_id: str) -> TokenError:
    error = TokenError(
        f"seller {seller_id} has no newer token after {_MAX_TRIES} refreshes, each of which left "
        "another grant than was refreshed; is something else approving for it all the time?"
    )
    error.retryable = True
    return error
