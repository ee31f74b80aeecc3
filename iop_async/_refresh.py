"""When to refresh: a pure decision over a token and the time."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from attrs import field, frozen, validators

from ._inputs import require_aware
from ._models import Token


class Freshness(Enum):
    """What to do with a token.

    Example::

        freshness = iop.RefreshPolicy().freshness(token, datetime.now(UTC))
        if freshness is iop.Freshness.DEAD:
            print("the seller must authorize again")
    """

    FRESH = "fresh"
    """Serve it."""

    DUE = "due"
    """Serve it, and refresh it meanwhile; a failure is a warning."""

    MUST_WAIT = "must wait"
    """About to expire, or expired: callers wait for its successor; a failure is an error."""

    CANNOT_REFRESH = "cannot refresh"
    """Serve it to its end; only the seller can give another."""

    DEAD = "dead"
    """Expired, and nothing to refresh it with: the seller must authorize again."""


_POSITIVE: Any = validators.gt(timedelta(0))


@frozen(kw_only=True)
class RefreshPolicy:
    """How early to refresh.

    The platform advises 30 minutes before the access token expires. A refresh does not move the
    end of the refresh token, so the last one before that end is the one that must not be missed.

    Attributes:
        lead: refresh this long before the access token expires.
        share: ... but not before this share of its lifetime is over, so that a token that lives
            for seconds is not refreshed at birth. Between 0 and 1.
        last_call: callers wait for the successor when no more than this is left (or a tenth of a
            short lifetime).
        horizon_lead: make the last refresh this long before the refresh token dies (or a quarter
            of the access token's lifetime): the longest outage that it survives.
        assumed_lifetime: of an access token whose gateway gave no readable one.

    Example::

        policy = iop.RefreshPolicy(lead=timedelta(hours=48))
        print(policy.due_at(token))
        manager = iop.TokenManager(client, store, policy=policy)
    """

    # observed: the guides of TaoWorld and Daraz say 30 minutes, Lazada's 48 hours.
    lead: timedelta = field(default=timedelta(minutes=30), validator=_POSITIVE)
    share: float = field(default=0.5, validator=[validators.gt(0), validators.lt(1)])
    last_call: timedelta = field(default=timedelta(seconds=60), validator=_POSITIVE)
    # 108260: a refresh does not move the end of the refresh token; half a day is assumed.
    horizon_lead: timedelta = field(default=timedelta(hours=12), validator=_POSITIVE)
    # assumed: below the shortest lifetime that any market documents (a day).
    assumed_lifetime: timedelta = field(default=timedelta(hours=2), validator=_POSITIVE)

    def freshness(self, token: Token, now: datetime) -> Freshness:
        """What to do with ``token`` at ``now`` (aware)."""
        require_aware("now", now)
        is_refreshable = can_refresh(token, now)
        if token.expires_at is not None and now >= token.expires_at:
            return Freshness.MUST_WAIT if is_refreshable else Freshness.DEAD
        if not is_refreshable:
            return Freshness.CANNOT_REFRESH
        if now < self.due_at(token):
            return Freshness.FRESH
        must_wait_at = self._must_wait_at(token)
        is_last_call = must_wait_at is not None and now >= must_wait_at
        return Freshness.MUST_WAIT if is_last_call else Freshness.DUE

    def due_at(self, token: Token) -> datetime:
        """When a refreshable token falls due."""
        lifetime = self._lifetime(token)
        wait = max(lifetime - self.lead, lifetime * self.share)
        due_at = token.issued_at + wait
        if token.refresh_expires_at is not None:
            last_refresh_at = token.refresh_expires_at - min(self.horizon_lead, lifetime / 4)
            # A token that was itself the last refresh has no horizon left to be saved from.
            if token.issued_at < last_refresh_at < due_at:
                return last_refresh_at
        return due_at

    def _must_wait_at(self, token: Token) -> datetime | None:
        if token.expires_at is None:
            return None
        return token.expires_at - min(self.last_call, self._lifetime(token) / 10)

    def _lifetime(self, token: Token) -> timedelta:
        if token.expires_at is None:
            return self.assumed_lifetime
        return max(token.expires_at - token.issued_at, timedelta(0))


def can_refresh(token: Token, now: datetime) -> bool:
    """Whether there is a refresh token, and it has not expired."""
    horizon = token.refresh_expires_at
    return token.refreshable and (horizon is None or now < horizon)
