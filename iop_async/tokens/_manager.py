"""The token manager: the face that users of :mod:`iop_async.tokens` see."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Literal, Self

from .._client import Client
from .._clock import Clock, SystemClock
from .._closing import ClosesOnExit
from .._inputs import require_aware, require_seller_id
from .._models import Token
from .._redact import NotPickled
from .._refresh import RefreshPolicy
from .._scrub import scrubs_frames
from ..calling import RateLimiter
from ..endpoints._token_answer import require_secret
from ..protocols import TokenStore
from ._batch import refresh_due, refresh_many
from ._composition import make_running, make_vault
from ._defaults import endpoints_of
from ._events import Announcer
from ._examiner import Examiner
from ._importing import Importing
from ._inputs import (
    Settings,
    require_callable,
    require_parts,
    require_token,
    seller_ids_in,
)
from ._lifecycle import Lifecycle
from ._observed import Observed
from ._reports import ImportProgress, ImportReport, Progress, RefreshReport
from ._running import Running
from ._seller import ManagedSeller


class TokenManager(Observed, NotPickled, ClosesOnExit):
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
        on_store_failure: what to do where the store fails and a token must be refreshed: ``"wait"``
            until it is back, while the access token is good; or ``"journal"`` with the journal
            alone, which is safe only where no other process refreshes the same sellers.
        clock: tells the time and waits for it; real time by default.
        scope: what keeps equal seller ids of different apps and platforms apart.
        journal: a file for pairs that the store did not take; beside a store's own file by
            default, and none where a store has no file.
        cached: grants kept in memory; others are read from the store.
        lease_seconds: how long another process waits before it takes over from one that died; an
            hour at most.
        drain_seconds: how long closing waits for refreshes under way. What is not done then is
            left as an intent, and is taken up at the next start.

    Use it as ``async with TokenManager(...)``. Entering looks at the store and the journal, and
    raises ``StoreError`` where they cannot be used. Entering and leaving may happen in different
    tasks of one event loop, which is the one that the manager serves.

    Example::

        async with iop.TokenManager(client, store) as tokens:
            await tokens.seller("1001").call("/orders/get")
    """

    @scrubs_frames
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
        on_store_failure: Literal["wait", "journal"] = "wait",
        clock: Clock | None = None,
        scope: str | None = None,
        journal: str | os.PathLike[str] | None = None,
        cached: int = 10_000,
        lease_seconds: float = 15.0,
        drain_seconds: float = 30.0,
    ) -> None:
        require_parts(client, store, policy, clock)
        self._settings = Settings(
            concurrency=concurrency,
            rate=rate,
            keeper=keeper,
            role=role,
            on_store_failure=on_store_failure,
            scope=scope,
            journal=journal,
            cached=cached,
            lease_seconds=lease_seconds,
            drain_seconds=drain_seconds,
        )
        self._client = client
        self._store = store
        self._policy = policy or RefreshPolicy()
        self._clock = clock or SystemClock(client.now)
        self._rate = RateLimiter(rate)
        self._announcer = Announcer()
        self._vault = make_vault(client, store, self._policy, self._settings)
        self._lifecycle = Lifecycle(self._make_running)

    @property
    def scope(self) -> str:
        """What the grants are filed under in the store: app and platform."""
        return self._vault.scope

    @property
    def client(self) -> Client:
        """What calls the gateway."""
        return self._client

    @property
    def store(self) -> TokenStore:
        """Where grants are kept."""
        return self._store

    @scrubs_frames
    async def authorize(self, code: str) -> Token:
        """Trade an authorization code, keep the grant, and watch over it from now on.

        By which seller ids to ask for its token later, ``tokens.seller_ids_of`` says of it.

        Raises:
            AuthError: the code is expired or used; what was stored is as it was.
            NotPersisted: it is in memory alone; the error carries the token, for you to keep.
            IopError: whatever else went wrong.
        """
        code = require_secret("code", code)
        trade = partial(endpoints_of(self._client).create_token, self._client, code=code)
        return (await self._lifecycle.here.authorize(trade)).token

    @scrubs_frames
    async def import_token(self, token: Token) -> Token:
        """Keep a grant that was obtained elsewhere, and watch over it from now on.

        Where its issue time is unknown, ``issued_at`` is now: it is then taken for as young as it
        may be, but for no longer-lived than it says.

        Raises:
            NotPersisted: it is in memory alone.
        """
        require_token(token)

        async def given() -> Token:
            return token

        return (await self._lifecycle.here.authorize(given)).token

    @scrubs_frames
    async def import_many(
        self,
        tokens: Iterable[Token] | AsyncIterable[Token],
        *,
        replace: bool = True,
        on_progress: Callable[[ImportProgress], object] | None = None,
    ) -> ImportReport:
        """Keep the grants of any number of sellers, obtained elsewhere, and watch over them.

        As :meth:`import_token` for each, but a pair changes nothing where the seller has that or a
        later one, by when it was issued and when it ends. So an import may be repeated, after a
        failure say. Give ``issued_at`` as it was: a pair issued now replaces one whose end nobody
        knows. A token that is of no use (no refresh token or one that has expired, no seller) costs
        no other, and is in the report. ::

            report = await tokens.import_many([token])
            print(report.imported, report.failed, report.details)

        Args:
            tokens: any number; they are read a thousand at a time.
            replace: put a pair in the place of an older one; ``False`` leaves that.
            on_progress: called after each; an error in it is reported as an event and goes on.

        Raises:
            StoreError: the store fails. What ``on_progress`` was told is kept is kept, a few tokens
                by the journal alone.
        """
        require_callable("on_progress", on_progress)
        limit = self._settings.concurrency
        importing = Importing(
            self._lifecycle.here, self._vault, self._clock, replace=replace, limit=limit
        )
        return await importing.run(tokens, on_progress)

    async def token(self, seller_id: str) -> Token:
        """A token that is good now, refreshed first where it would expire any moment.

        Raises:
            ReauthorizationRequired: there is none, and only the seller can give one;
                ``UnknownSeller`` where it never has.
            RefreshAmbiguous: the access token is over, and whether a refresh happened is unknown.
            IopError: the access token is over and refreshing it failed.
        """
        require_seller_id(seller_id)
        return await self._lifecycle.here.token(seller_id)

    def seller(self, seller_id: str) -> ManagedSeller:
        """A caller that acts for a seller, with a good token each time."""
        require_seller_id(seller_id)
        return ManagedSeller(self._client, self, seller_id, self._rate)

    async def refresh(self, seller_id: str) -> Token:
        """Refresh a seller's token now, due or not; joins a refresh that is under way.

        Raises:
            ReauthorizationRequired, RefreshAmbiguous: nothing to refresh with.
            IopError: it failed; the token is as good as before where the error does not say
                ``may_have_been_applied``.
        """
        require_seller_id(seller_id)
        return await self._lifecycle.here.successor(seller_id, by_hand=True)

    @scrubs_frames
    async def replace(self, seller_id: str, *, rejected: str) -> Token:
        """A newer token than ``rejected``, which the gateway refused as an access token."""
        require_seller_id(seller_id)
        rejected = require_secret("rejected", rejected)
        return await self._lifecycle.here.successor(seller_id, rejected=rejected)

    async def refresh_many(
        self, seller_ids: Iterable[str], *, on_progress: Callable[[Progress], object] | None = None
    ) -> RefreshReport:
        """Refresh many sellers at the same time, due or not.

        Args:
            on_progress: called after each; an error in it is reported as an event and goes on.
        """
        names = seller_ids_in(seller_ids)
        require_callable("on_progress", on_progress)
        limit = self._settings.concurrency * 2
        return await refresh_many(self._lifecycle.here, names, on_progress=on_progress, limit=limit)

    async def refresh_due(self) -> RefreshReport:
        """Refresh whatever is due now, as the keeper would; for those who run without one.

        Raises:
            StoreError: the store does not say what is due; what it said before was refreshed.
        """
        running = self._lifecycle.here
        if self._settings.role == "follower":
            msg = "this token manager is a follower, which refreshes nothing; ask one that is not"
            raise RuntimeError(msg)
        limit = self._settings.concurrency * 4
        return await refresh_due(running, self._vault, self._clock, limit=limit)

    async def forget(self, seller_id: str) -> bool:
        """Remove a seller's grant; whether there was one. A late answer does not bring it back."""
        require_seller_id(seller_id)
        return await self._lifecycle.here.forget(seller_id)

    async def tell_expiry(self, seller_id: str, ends_at: datetime | None) -> bool:
        """Tell listeners, as ``authorize_by``, of an end that the platform itself told of.

        A platform pushes a message when an authorization ends within days (see
        :mod:`iop_async.webhooks`). Where it is merely an access token that ends, which will be
        refreshed, nobody need do anything, and nothing is told. ::

            await tokens.tell_expiry("1001", message.authorization_ends_at)

        Args:
            ends_at: when (aware); ``None`` where the message does not say.

        Returns:
            Whether it was told, to the listeners of this process.

        Raises:
            UnknownSeller: there is no grant of this seller.
        """
        require_seller_id(seller_id)
        require_aware("ends_at", ends_at)
        return await self._lifecycle.here.tell_expiry(seller_id, ends_at)

    def start_soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run something in this manager's own tasks, beside the refreshes.

        Leaving the manager waits for it within ``drain_seconds``, and cancels it then. An error in
        it is told as an event, and ends nothing else.
        """
        require_callable("work", work)
        self._lifecycle.here.background.start_soon(work)

    async def __aenter__(self) -> Self:
        await self._lifecycle.enter()
        return self

    async def aclose(self) -> None:
        """Let refreshes under way end, within ``drain_seconds``; then stop.

        Raises:
            RuntimeError: it runs in another event loop, and must be left there.
        """
        await self._lifecycle.aclose()

    def _make_running(self) -> Running:
        self._vault.start_over()
        running = make_running(
            self._client,
            self._vault,
            self._settings,
            policy=self._policy,
            clock=self._clock,
            announcer=self._announcer,
            rate=self._rate,
        )
        self._examiner = Examiner(running, self._vault, self._policy, self._clock)
        return running

    def __repr__(self) -> str:
        return f"TokenManager({self._vault.scope!r})"
