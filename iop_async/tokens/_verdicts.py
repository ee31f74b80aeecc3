"""What the answer to a presented refresh token proves, and what follows for the grant: pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from attrs import evolve

from .._exceptions import (
    ApiError,
    AuthError,
    IopError,
    ProtocolError,
    StaleRecord,
    StoreError,
)
from .._models import Token
from .._redact import legible
from .._values import changed
from ..calling import LONGEST_WAIT, backoff
from ..endpoints._token_answer import recover_token
from ._grant import Grant, first_probe
from ._transitions import finished, is_for_others, not_presented, promoted

_UNREAD_KEPT: Final = 16_384

_SECOND_LOOK: Final = 60.0
_SOONEST_LOOK: Final = 10.0
"""Seconds before a refusal is looked at again: fewer where the access token is about to end."""

_CLOSE_TO_THE_END: Final = 60.0
"""Seconds between two tries at least, while the access token's end is near."""


class Verdict(Enum):
    """What an error proves of a refresh token that was presented."""

    NOT_APPLIED = "not applied"
    """It is unspent; a later try may succeed."""

    OF_THE_APP = "of the app"
    """It is unspent, and every seller's would be refused alike: key, secret, clock, address."""

    REFUSED = "refused"
    """The gateway does not take it, or has an incident."""

    UNANSWERED = "unanswered"
    """Nothing: it may be spent or not."""


def verdict_on(error: IopError) -> Verdict:
    """What ``error`` proves."""
    if isinstance(error, ApiError) and error.refresh_token_rejected:
        return Verdict.REFUSED
    if isinstance(error, ApiError) and error.affects_every_seller:
        return Verdict.OF_THE_APP
    # A code that no table knows says nothing, and so does one on a token that was not presented.
    is_unknown = type(error) is ApiError or isinstance(error, AuthError)
    if error.may_have_been_applied or is_unknown:
        return Verdict.UNANSWERED
    return Verdict.NOT_APPLIED


def is_store_failure(error: IopError) -> bool:
    """Whether nothing was presented because the store failed: the grant is as it was."""
    return isinstance(error, StoreError) and not isinstance(error, StaleRecord)


def after_failure(
    grant: Grant, error: IopError, now: datetime, jitter: float, *, in_incident: bool = False
) -> Grant:
    """The grant after the refresh token was presented and ``error`` came back.

    Args:
        jitter: between 0 and 1.
        in_incident: sellers are refused in such numbers that it is not believed.
    """
    reason = legible(str(error), grant.secrets)
    match verdict_on(error):
        case Verdict.REFUSED:
            return _after_refusal(grant, reason, now, in_incident=in_incident)
        case Verdict.UNANSWERED:
            return _after_silence(grant, error, now, jitter)
        case _:
            wait = backoff(grant.attempts, jitter)
            if error.retry_after is not None:
                wait = min(error.retry_after, LONGEST_WAIT) + 0.25 + jitter * 0.75
            return changed(
                not_presented(grant),
                attempts=grant.attempts + 1,
                retry_at=_retry_at(grant, wait, now),
                reason=reason,
            )


def _after_silence(grant: Grant, error: IopError, now: datetime, jitter: float) -> Grant:
    """The intent stays: it is presented again until an answer is definite."""
    wait = backoff(grant.attempts, jitter, first=first_probe(grant.token, now))
    unread = None
    if content := getattr(error, "content", b""):
        unread = content[:_UNREAD_KEPT].decode("utf-8", "backslashreplace")
    intent = grant.intent
    return changed(
        grant,
        intent=evolve(intent, is_reported=True) if intent else None,
        state="ambiguous" if intent is not None and intent.is_probe else grant.state,
        attempts=grant.attempts + 1,
        retry_at=_retry_at(grant, wait, now),
        reason=legible(str(error), grant.secrets),
        unread=(*grant.unread, unread) if unread and unread not in grant.unread else grant.unread,
    )


def recovered(grant: Grant) -> Token | None:
    """The pair in an answer that was kept unread, where this version can read it."""
    sent_at = grant.intent.at if grant.intent is not None else grant.token.issued_at
    presented = grant.token.refresh_token
    for text in reversed(grant.unread):
        token = recover_token(text, sent_at=sent_at, presented=presented)
        if token is not None and not is_for_others(grant, token):
            return token
    return None


def _after_refusal(grant: Grant, reason: str, now: datetime, *, in_incident: bool) -> Grant:
    """Another pair of the seller's takes its turn; a refusal is believed at the second look."""
    refused_at = grant.refused_at or now
    is_second_look = now - refused_at >= timedelta(seconds=_SOONEST_LOOK * 0.8)
    is_believed = is_second_look and not in_incident
    # In an incident the pair in use may well be the live one.
    if (is_believed or not in_incident) and (other := promoted(grant, now)) is not None:
        return other
    if is_believed:
        return finished(grant, _with_its_cause(grant, reason))
    left = _SECOND_LOOK
    if grant.token.expires_at is not None:
        until_last_call = (grant.token.expires_at - now).total_seconds() - _CLOSE_TO_THE_END
        left = min(_SECOND_LOOK, max(until_last_call, _SOONEST_LOOK))
    if in_incident:  # a seller that is refused for good must not be the only one who probes
        left = backoff(grant.attempts, 0.0, first=left)
    elif grant.refused_at is not None:
        left = _SOONEST_LOOK  # asked again by hand before the second look
    return changed(
        not_presented(grant),
        attempts=grant.attempts + 1,
        refused_at=refused_at,
        # A seller who took the permission back is to be told long before the token falls due.
        wanted_at=refused_at,
        retry_at=now + timedelta(seconds=left),
        reason=reason,
    )


def _with_its_cause(grant: Grant, reason: str) -> str:
    if died(grant):
        return f"a process died between a refresh and its answer: {reason}"
    if grant.intent is not None and grant.intent.is_probe:
        return f"the answer to a refresh was lost, and with it the new token: {reason}"
    return reason


def died(grant: Grant) -> bool:
    """Whether a process died after it had presented the refresh token."""
    intent = grant.intent
    return intent is not None and intent.is_probe and not intent.is_reported


def _retry_at(grant: Grant, wait: float, now: datetime) -> datetime:
    """Later with every failure, but oftener while the end of either token is near."""
    for end, least in (
        (grant.token.expires_at, _CLOSE_TO_THE_END),
        (grant.token.refresh_expires_at, 5.0),
    ):
        left = (end - now).total_seconds() if end is not None else 0.0
        if left > 0:
            wait = min(wait, max(left / 2, least))
    return now + timedelta(seconds=wait)


def after_short_lived(grant: Grant, attempts: int, now: datetime, jitter: float) -> Grant:
    """The gateway hands out tokens that are already at their end: do not ask in a loop."""
    return changed(
        grant,
        attempts=attempts + 1,
        retry_at=now + timedelta(seconds=backoff(attempts, jitter)),
        reason="the gateway handed out an access token that was already at its end",
    )


def after_another_s_answer(grant: Grant, token: Token, now: datetime, jitter: float) -> Grant:
    """The gateway answered with another seller's pair, which is kept aside."""
    error = ProtocolError("the gateway answered with a token of another seller, kept aside")
    kept = _after_silence(grant, error, now, jitter)
    return changed(kept, candidates=(*kept.candidates, token))
