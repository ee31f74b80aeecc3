"""The token manager: what users of :mod:`iop_async.tokens` see."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any, Literal, Self

from .._client import Client
from .._closing import ClosesOnExit
from .._each import Each
from .._exceptions import IopError, ReauthorizationRequired
from .._models import NotPickled, Token
from .._refresh import Freshness, RefreshPolicy
from ..endpoints import auth, top
from ..endpoints._token_answer import hidden
from ..gateways import Top
from ..protocols import Caller, TokenStore
from ._cache import Cache
from ._claims import Claims
from ._clock import Clock, SystemClock
from ._deadlines import is_due
from ._defaults import journal_beside, scope_of
from ._events import Announcer, EventStream, TokenEvent
from ._flights import Flight, Work
from ._follower import Follower
from ._grants import Grant
from ._leases import Leases
from ._outcomes import is_of_the_store, refusal
from ._parallel import for_each
from ._rate import Rate
from ._refresher import Refresher
from ._reports import Progress, RefreshReport, SellerStatus, status_of
from ._running import Running
from ._seller import ManagedSeller
from ._tally import Tally
from ._vault import Vault

_log = logging.getLogger("iop_async.tokens")


class TokenManager(NotPickled, ClosesOnExit):
    """Keeps the tokens of any number of sellers fresh, and loses none of them.

    Args:
        client: calls the gateway; its app and gateway name the grants' scope.
        store: where grants are kept; see :mod:`iop_async.stores`. It is not closed: others may
            use it, and one that nobody uses any more closes itself.
        policy: how early to refresh.
        concurrency: refreshes under way at a time.
        rate: refreshes and sellers' calls in a second, together; ``None`` for no limit.
        keeper: refresh what falls due while the manager runs; without it only what is asked for.
        role: a ``"peer"`` refreshes, and shares that with all peers on the store. A ``"follower"``
            reads, waits for what peers refresh, asks them to where it must, and never presents a
            refresh token.
        without_store: what to do where the store fails and a token must be refreshed: ``"wait"``
            until it is back, while the access token is good; or ``"go on"`` with the journal
            alone, which is safe only where no other process refreshes the same sellers.
        clock: tells the time and waits for it; real time by default.
        scope: what keeps equal seller ids of different apps and platforms apart.
        journal: a file for pairs that the store did not take; beside a store's own file by
            default.
        cached: grants kept in memory; others are read from the store.
        lease_seconds: how long another process waits before it takes over from one that died.
        drain_seconds: how long closing waits for refreshes under way. What is not done then is
            left as an intent, and is taken up at the next start.

    Use it as ``async with TokenManager(...)``; entering and leaving may happen in different tasks.
    """

    def __init__(
        self,
        client: Client,
        store: TokenStore,
        *,
        policy: RefreshPolicy | None = None,
        concurrency: int = 20,
        rate: float | None = None,
        keeper: bool = True,
        role: Literal["peer", "follower"] = "peer",
        without_store: Literal["wait", "go on"] = "wait",
        clock: Clock | None = None,
        scope: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        cached: int = 10_000,
        lease_seconds: float = 15.0,
        drain_seconds: float = 30.0,
    ) -> None:
        for name, value in (("concurrency", concurrency), ("cached", cached)):
            if value < 1:
                msg = f"{name} is {value}; it is at least 1"
                raise ValueError(msg)
        for name, word, words in (
            ("role", role, ("peer", "follower")),
            ("without_store", without_store, ("wait", "go on")),
        ):
            if word not in words:
                msg = f"{name} is {word!r}; it is {words[0]!r} or {words[1]!r}"
                raise ValueError(msg)
        if lease_seconds <= 0 or drain_seconds < 0:
            msg = "lease_seconds is more than 0, and drain_seconds not less"
            raise ValueError(msg)
        journals = journal_beside(store, journal)
        if without_store == "go on" and journals is None:
            msg = "to go on without the store there must be a journal: say journal='tokens.spill'"
            raise ValueError(msg)
        self._client = client
        self._policy = policy or RefreshPolicy()
        self._clock = clock or SystemClock(client.now)
        self._concurrency = concurrency
        self._rate = Rate(rate)
        self._capacity = concurrency * 4 if keeper and role == "peer" else 0
        self._lease_seconds = lease_seconds
        self._drain_seconds = drain_seconds
        self._endpoints: Any = top if isinstance(client.gateway, Top) else auth
        self._announcer = Announcer()
        self._cache = Cache(cached)
        scope = scope or scope_of(client)
        self._vault = Vault(
            store,
            cache=self._cache,
            journal=journals,
            scope=scope,
            policy=self._policy,
            leases=Leases(store, scope, lease_seconds),
            alone=without_store == "go on",
        )
        self._follower: Follower | None = None
        if role == "follower":
            self._follower = Follower(self._vault, policy=self._policy, clock=self._clock)
        self._running: Running | None = None

    @property
    def scope(self) -> str:
        """What the grants are filed under in the store: app and platform."""
        return self._vault.scope

    async def authorize(self, code: str) -> Token:
        """Trade an authorization code, keep the grant, and watch over it from now on.

        Raises:
            AuthError: the code is expired or used; what was stored is as it was.
            IopError: whatever else went wrong.
        """
        code = hidden("code", code)
        return (await self._here.fly(partial(self._trade, code)).outcome()).token

    async def _trade(self, code: str) -> Grant:
        return await self._keep(await self._endpoints.create_token(self._client, code=code))

    async def import_token(self, token: Token) -> Token:
        """Keep a grant that was obtained elsewhere, and watch over it from now on.

        Where its issue time is unknown, ``issued_at`` is now: it is then taken for as young as it
        may be, but for no longer-lived than it says.
        """
        return (await self._keep(token)).token

    async def _keep(self, token: Token) -> Grant:
        grant = await self._vault.authorize(token)
        self._cache.put(grant)
        if self._running is not None:
            self._running.keeper.wake()
        return grant

    async def token(self, seller: str) -> Token:
        """A token that is good now, refreshed first where it would expire any moment.

        Raises:
            ReauthorizationRequired: there is none, and only the seller can give one.
            RefreshAmbiguous: the access token is over, and whether a refresh happened is unknown.
            IopError: the access token is over and refreshing it failed.
        """
        token = await self._serve(seller, await self._load(seller))
        if token is None:
            # What is in memory may be older than what another process stored.
            grant = await self._reload(seller)
            token = await self._serve(seller, grant)
            if token is None:
                raise refusal(seller, grant, self._clock.now())
        return token

    async def _serve(self, seller: str, grant: Grant) -> Token | None:
        """The token, or its successor; ``None`` where it is over and may not be refreshed now."""
        token, now = grant.token, self._clock.now()
        freshness = self._policy.plan(token, now).freshness
        if freshness is Freshness.FRESH:
            return token
        must_wait = freshness is Freshness.MUST_WAIT
        if is_due(grant, self._policy, now) and (
            must_wait or self._here.refresher.gate.is_open(now)
        ):
            flight = self._refresh(grant, only_due=True)
            if must_wait:
                try:
                    successor = await flight.outcome()
                    if seller not in successor.sellers:
                        return None
                    token = successor.token
                except IopError:
                    if self._is_over(token):
                        raise
        return None if self._is_over(token) else token

    def _is_over(self, token: Token) -> bool:
        return token.expires_at is not None and self._clock.now() >= token.expires_at

    def seller(self, seller: str) -> Caller:
        """A caller that acts for a seller, with a good token each time."""
        return ManagedSeller(self._client, self, seller, self._rate)

    async def refresh(self, seller: str) -> Token:
        """Refresh a seller's token now, due or not; joins a refresh that is under way.

        Raises:
            ReauthorizationRequired, RefreshAmbiguous: nothing to refresh with.
            IopError: it failed; the token is as good as before where the error does not say
                ``may_have_been_applied``.
        """
        return (await self._successor(seller, await self._load(seller))).token

    async def replace(self, seller: str, *, rejected: str) -> Token:
        """A newer token than ``rejected``, which the gateway refused as an access token."""
        grant = await self._load(seller)
        if grant.token.access_token != rejected:
            return grant.token
        return (await self._successor(seller, grant, rejected=rejected)).token

    async def _successor(self, seller: str, grant: Grant, *, rejected: str | None = None) -> Grant:
        while True:
            successor = await self._refresh(grant, rejected=rejected).outcome()
            if seller not in successor.sellers:  # others approved alone, and took the record over
                grant = await self._reload(seller)
                continue
            # A flight that was joined may have left a grant as it is, which was not due.
            if successor.age > grant.age or successor.token != grant.token:
                return successor

    async def refresh_many(
        self, sellers: Iterable[str], *, on_progress: Callable[[Progress], object] | None = None
    ) -> RefreshReport:
        """Refresh many sellers at the same time, due or not.

        Args:
            on_progress: called after each; an error in it is reported as an event and goes on.
        """
        names = dict.fromkeys(sellers)
        waiting = iter(names)
        tally = Tally(len(names), on_progress, self._on_error)

        async def take() -> str | None:
            return next(waiting, None)

        async def refresh(seller: str) -> None:
            await tally.count(seller, self.refresh(seller))

        await for_each(take, refresh, limit=self._concurrency * 2)
        return tally.report()

    async def refresh_due(self) -> RefreshReport:
        """Refresh whatever is due now, as the keeper would; for those who run without one.

        Raises:
            StoreError: the store does not say what is due; what it said before was refreshed.
        """
        running = self._here
        if self._follower is not None:
            msg = "this token manager is a follower, which refreshes nothing; ask one that is not"
            raise RuntimeError(msg)
        tally = Tally(0, None, self._on_error)

        async def tend(grant: Grant) -> None:
            flight = running.flights.join(grant.seller, partial(running.tend, grant))
            await tally.count(grant.seller, flight.outcome(), before=grant.generation)

        claims = Claims(self._vault, self._clock)
        await for_each(claims.take, tend, limit=self._concurrency * 4)
        return tally.report()

    async def forget(self, seller: str) -> bool:
        """Remove a seller's grant; whether there was one. A late answer does not bring it back."""
        try:
            return await self._vault.forget(seller)
        finally:
            self._cache.drop(seller)

    async def status(self, seller: str) -> SellerStatus:
        """How a seller's grant is.

        Raises:
            ReauthorizationRequired: there is none.
        """
        return self._status(await self._reload(seller))

    def statuses(self) -> AsyncIterator[SellerStatus]:
        """How every grant is, in no order.

        Raises:
            StoreError: some records cannot be read; all others came before.
        """
        return Each(self._status, self._vault.all())

    def events(self) -> EventStream:
        """What happens from now on, in order. A listener that is slow delays nobody."""
        return self._announcer.listen()

    def _status(self, grant: Grant) -> SellerStatus:
        return status_of(
            grant,
            self._policy.plan(grant.token, self._clock.now()).freshness,
            is_persisted=self._vault.has_stored(grant),
            is_refreshing=self._running is not None and grant.seller in self._running.flights,
        )

    async def _load(self, seller: str) -> Grant:
        return self._cache.get(seller) or await self._reload(seller)

    async def _reload(self, seller: str) -> Grant:
        grant = await self._vault.load(seller)
        if grant is None:
            raise ReauthorizationRequired(seller, "this seller has never authorized the app here")
        self._cache.put(grant)
        return grant

    def _refresh(
        self, grant: Grant, *, rejected: str | None = None, only_due: bool = False
    ) -> Flight:
        running = self._here
        refresher = self._follower or running.refresher
        work = partial(refresher.refresh, grant, rejected=rejected, only_due=only_due)
        return running.flights.join(
            grant.seller,
            partial(self._fly, running, grant, work),
            drained=self._follower is None,
        )

    async def _fly(self, running: Running, grant: Grant, work: Work) -> Grant:
        try:
            successor = await work()
        except IopError as error:
            self._after_failure(grant.seller, error)
            raise
        self._cache.put(successor)
        if not self._vault.has_stored(successor):
            running.keeper.wake()
        return successor

    def _after_failure(self, seller: str, error: IopError) -> None:
        # What is in memory is all there is to serve while the store fails.
        if not is_of_the_store(error):
            self._cache.drop(seller)

    def _on_error(self, error: Exception) -> None:
        _log.warning("the token manager met an error and goes on: %s", type(error).__name__)
        self._announcer.announce(
            TokenEvent(
                kind="error", at=self._clock.now(), reason=f"{type(error).__name__}: {error}"
            )
        )

    @property
    def _here(self) -> Running:
        if self._running is None or not self._running.is_here:
            msg = "the token manager is not running here; use it as 'async with TokenManager(...)'"
            raise RuntimeError(msg)
        return self._running

    async def __aenter__(self) -> Self:
        if self._running is not None and self._running.is_here:
            msg = "this token manager is already running"
            raise RuntimeError(msg)
        # Forked workers have this object in common, and no lease.
        self._vault.leases.start_over()
        refresher = Refresher(
            self._client,
            self._endpoints,
            self._vault,
            policy=self._policy,
            clock=self._clock,
            announcer=self._announcer,
            concurrency=self._concurrency,
            rate=self._rate,
        )
        running = Running(
            refresher,
            self._vault,
            self._cache,
            clock=self._clock,
            capacity=self._capacity,
            lease_seconds=self._lease_seconds,
            on_error=self._on_error,
            on_failure=self._after_failure,
        )
        await self._vault.recover()
        await running.start()
        self._running = running
        return self

    async def aclose(self) -> None:
        """Let refreshes under way end, within ``drain_seconds``; then stop."""
        running, self._running = self._running, None
        if running is None or not running.is_here:
            return
        await running.aclose(self._drain_seconds)
        self._announcer.close()

    def __repr__(self) -> str:
        return f"TokenManager({self._vault.scope!r})"
