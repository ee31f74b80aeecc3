"""Waiting for what other processes refresh, without ever presenting a refresh token."""

from __future__ import annotations

from typing import Final

import anyio
from attrs import evolve

from .._exceptions import ReauthorizationRequired, RefreshAmbiguous, TokenError
from .._refresh import RefreshPolicy
from ._clock import Clock
from ._deadlines import is_dead, refresh_at
from ._grants import Grant
from ._vault import Vault

_LOOK_FIRST: Final = 0.1
_LOOK_LAST: Final = 2.0
_PATIENCE: Final = 60.0


class Follower:
    """Does what a :class:`Refresher` does for callers, by way of other processes."""

    def __init__(self, vault: Vault, *, policy: RefreshPolicy, clock: Clock) -> None:
        self._vault = vault
        self._policy = policy
        self._clock = clock

    async def refresh(
        self, grant: Grant, *, rejected: str | None = None, only_due: bool = False
    ) -> Grant:
        """The successor of a grant, as soon as another process has stored it.

        Args:
            rejected: an access token that the gateway refused.
            only_due: the grant is due, so that nobody must be asked.

        Raises:
            ReauthorizationRequired, RefreshAmbiguous: there will be none.
            TokenError: no other process refreshed it in time.
        """
        pause = _LOOK_FIRST
        with anyio.move_on_after(_PATIENCE):
            while True:
                current = await self._vault.load(grant.seller)
                if current is None:
                    raise ReauthorizationRequired(grant.seller, "the seller was forgotten")
                is_another = rejected is not None and current.token.access_token != rejected
                if current.age > grant.age or is_another:
                    return current
                if current.state == "ambiguous":
                    raise RefreshAmbiguous(grant.seller, current.reason)
                wanted = current if only_due else self._wanted(current)
                is_lost = is_dead(current, self._clock.now())
                if is_lost or refresh_at(wanted, self._policy) is None:
                    reason = current.reason or "there is nothing to refresh it with"
                    raise ReauthorizationRequired(grant.seller, reason)
                if wanted != current and current.intent is None:
                    await self._vault.want(wanted)
                await anyio.sleep(pause)
                pause = min(pause * 2, _LOOK_LAST)
        msg = (
            f"no other process refreshed seller {grant.seller} within {_PATIENCE:.0f} s, and this "
            "one is a follower; is there one that is not?"
        )
        error = TokenError(msg)
        error.retryable = True
        raise error

    def _wanted(self, grant: Grant) -> Grant:
        return evolve(grant, wanted_at=grant.wanted_at or self._clock.now())
