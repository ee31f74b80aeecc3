"""Waiting for what other processes refresh, without ever presenting a refresh token."""

from __future__ import annotations

from typing import Final

import anyio

from .._clock import Clock
from .._exceptions import ReauthorizationRequired, TokenError, UnknownSeller
from .._refresh import RefreshPolicy, can_refresh
from .._values import changed
from ._grant import Grant, refresh_at
from ._transitions import RefreshRequest, refusal
from ._vault import Vault

_POLL_MIN: Final = 0.1
_POLL_MAX: Final = 2.0
_FOLLOW_TIMEOUT: Final = 60.0


class Follower:
    """Does what a :class:`Refresher` does for callers, by way of other processes."""

    def __init__(self, vault: Vault, *, policy: RefreshPolicy, clock: Clock) -> None:
        self._vault = vault
        self._policy = policy
        self._clock = clock

    async def refresh(self, grant: Grant, request: RefreshRequest) -> Grant:
        """The successor of a grant, as soon as another process has stored it.

        Raises:
            ReauthorizationRequired, RefreshAmbiguous: there will be none.
            TokenError: no other process refreshed it in time.
        """
        pause = _POLL_MIN
        with anyio.move_on_after(_FOLLOW_TIMEOUT):
            while True:
                current = await self._vault.load(grant.seller_id)
                if current is None:
                    raise UnknownSeller(grant.seller_id, "the seller was forgotten")
                if request.is_served_by(current, than=grant):
                    return current
                await self._ask_for(current, is_asked=request.only_due)
                await anyio.sleep(pause)
                pause = min(pause * 2, _POLL_MAX)
        msg = (
            f"no other process refreshed seller {grant.seller_id} within {_FOLLOW_TIMEOUT:.0f} s, "
            "and this one is a follower; is there one that is not?"
        )
        error = TokenError(msg)
        error.retryable = True
        raise error

    async def _ask_for(self, grant: Grant, *, is_asked: bool) -> None:
        """Have another process refresh a grant; raises where none will.

        Args:
            is_asked: the grant is due, so that nobody need be told.
        """
        now = self._clock.now()
        if grant.state == "ambiguous" or grant.refused_at is not None:
            raise refusal(grant.seller_id, grant, now)
        wanted = grant if is_asked else changed(grant, wanted_at=grant.wanted_at or now)
        if not can_refresh(grant.token, now) or refresh_at(wanted, self._policy) is None:
            reason = grant.reason or "there is nothing to refresh it with"
            raise ReauthorizationRequired(grant.seller_id, reason)
        if wanted != grant and grant.intent is None:
            await self._vault.want(wanted)
