"""What a refresh that brought no token means for the grant: pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from .._exceptions import (
    AuthError,
    ClockError,
    IopError,
    PermissionDenied,
    ProtocolError,
    ReauthorizationRequired,
    RefreshAmbiguous,
    SignatureError,
    StaleRecord,
    StoreError,
    TokenError,
)
from ._grants import Grant, Intent, finished, postponed, promoted, unanswered

_FIRST_WAIT: Final = timedelta(seconds=5)
_LONGEST_WAIT: Final = timedelta(minutes=2)
_UNREAD_KEPT: Final = 16_384


def backoff(attempts: int, luck: float) -> timedelta:
    """How long to wait after so many failures; ``luck`` between 0 and 1 spreads the hosts."""
    doublings: int = 2 ** min(attempts, 10)
    longest = min(_FIRST_WAIT * doublings, _LONGEST_WAIT)
    return longest * (0.5 + luck / 2)


def is_of_the_app(error: IopError) -> bool:
    """Whether every seller's refresh would fail alike: key, secret, clock, address."""
    return isinstance(error, (SignatureError, ClockError, PermissionDenied))


def is_of_the_store(error: IopError) -> bool:
    """Whether nothing was presented because the store failed: the grant is as it was."""
    return isinstance(error, StoreError) and not isinstance(error, StaleRecord)


def after_failure(grant: Grant, error: IopError, now: datetime, luck: float) -> Grant:
    """The grant after the refresh token was presented and ``error`` came back."""
    intent = grant.intent or Intent(now)
    reason = str(error)
    if isinstance(error, AuthError):
        return promoted(grant, now) or finished(grant, "reauthorize", reason)
    wait = backoff(grant.attempts, luck)
    if grant.token.expires_at is not None:
        # The longer it fails the less time is left: try more often towards the end.
        wait = min(wait, max((grant.token.expires_at - now) / 2, _FIRST_WAIT))
    if not error.may_have_been_applied:
        if error.retry_after is not None:
            wait = timedelta(seconds=error.retry_after + 0.25 + luck * 0.75)
        grant = postponed(grant, now + wait, reason)
        if not intent.is_probe:
            return grant
        # Whether the presentation before this one was applied is as unknown as it was.
        return evolve(grant, intent=evolve(intent, presentations=intent.presentations - 1))
    if intent.is_probe:
        return finished(grant, "ambiguous", reason)
    unread = None
    if isinstance(error, ProtocolError):
        unread = error.content[:_UNREAD_KEPT].decode("utf-8", "backslashreplace")
    return unanswered(grant, now + wait, reason, unread)


def after_short_lived(grant: Grant, attempts: int, now: datetime, luck: float) -> Grant:
    """The gateway hands out tokens that are already at their end: do not ask in a loop."""
    return evolve(
        grant,
        attempts=attempts + 1,
        retry_at=now + backoff(attempts, luck),
        reason="the gateway handed out an access token that was already at its end",
    )


def refusal(seller: str, grant: Grant, now: datetime) -> TokenError:
    """Why there is no token to serve."""
    if grant.state == "ambiguous":
        return RefreshAmbiguous(seller, grant.reason)
    if grant.retry_at is not None and grant.state == "live":
        error = TokenError(
            f"the token of seller {seller} is over; refreshing it failed {grant.attempts} "
            f"times and is tried again at {grant.retry_at:%H:%M:%S} UTC: {grant.reason}"
        )
        error.retryable = True
        error.retry_after = max((grant.retry_at - now).total_seconds(), 0.0)
        return error
    return ReauthorizationRequired(seller, grant.reason or "its last token has expired")
