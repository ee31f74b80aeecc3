"""What happens to a grant: approved, about to be refreshed, renewed, refused, split; or why not.

All of it is pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import evolve, field, frozen

from .._exceptions import ReauthorizationRequired, RefreshAmbiguous, TokenError
from .._models import Token
from .._refresh import can_refresh
from .._values import changed
from ._grant import (
    LAST_WARNING,
    Grant,
    Intent,
    ids_in,
    microseconds,
    plausible,
    probe_at,
    seller_ids_of,
)

_SAME_HORIZON: Final = timedelta(hours=1)
"""Between two ends of a refresh token that are one, told in seconds from now each time."""


def authorized(scope: str, token: Token, before: Grant | None) -> Grant:
    """A grant that the seller has just given, in the place of an earlier one if there was one."""
    names = seller_ids_of(token)
    # Counting from 1 would give a seller that left and came back the number it had before.
    number = max(microseconds(token.issued_at), before.epoch + 1 if before else 1)
    if before is None or not set(before.seller_ids) <= set(names):
        # One of several sellers approved alone: the others go on with what they have.
        return Grant(scope=scope, seller_id=names[0], seller_ids=names, token=token, epoch=number)
    return Grant(
        scope=scope,
        seller_id=before.seller_id,
        seller_ids=names,
        token=token,
        epoch=number,
        generation=before.generation + 1,
        revision=before.revision,
    )


@frozen(kw_only=True)
class RefreshRequest:
    """What is asked of a refresh.

    Attributes:
        rejected: an access token that the gateway refused; where the grant has a newer one by now,
            that is the answer. There may be many such calls, so they keep to the backoff.
        only_due: leave the grant as it is where it is not due: another process may have tried just
            now, and failed.
        by_hand: somebody asks for it, whatever was concluded from earlier answers.
        is_claimed: the grant was leased when it was read, because it is due.
    """

    rejected: str | None = field(default=None, repr=False)
    only_due: bool = False
    by_hand: bool = False
    is_claimed: bool = False

    def is_served_by(self, current: Grant, than: Grant) -> bool:
        """Whether there is a newer pair ``than`` when it was asked, or another access token."""
        is_another = self.rejected is not None and current.token.access_token != self.rejected
        return is_another or current.age > than.age


WHEN_DUE: Final = RefreshRequest(only_due=True)
WHEN_CLAIMED: Final = RefreshRequest(only_due=True, is_claimed=True)


def require_presentable(grant: Grant, request: RefreshRequest, now: datetime) -> None:
    """Raises a ``TokenError`` where the refresh token is not to be presented."""
    if grant.state == "reauthorize" and not request.by_hand:
        raise ReauthorizationRequired(grant.seller_id, grant.reason)
    if not grant.token.refreshable:
        raise ReauthorizationRequired(grant.seller_id, "this authorization cannot be refreshed")
    if not can_refresh(grant.token, now):
        raise ReauthorizationRequired(grant.seller_id, "the refresh token has expired")
    if request.by_hand:
        return
    grant = plausible(grant, now)
    # What was refused, or not answered, is asked for again by its schedule, whoever else asks.
    is_waiting = grant.retry_at is not None and grant.retry_at > now
    is_early = grant.intent is not None and probe_at(grant, grant.intent) > now
    if is_early or (is_waiting and (request.rejected is not None or grant.refused_at is not None)):
        raise refusal(grant.seller_id, grant, now)


def refusal(seller_id: str, grant: Grant, now: datetime) -> TokenError:
    """Why there is no token to serve."""
    if grant.state == "reauthorize" or grant.refused_at is not None:
        return refused(seller_id, grant, now)
    if grant.state == "ambiguous":
        ambiguous = RefreshAmbiguous(seller_id, grant.reason)
        _say_when(ambiguous, grant, now)
        return ambiguous
    if grant.retry_at is not None or can_refresh(grant.token, now):
        when = grant.retry_at or (probe_at(grant, grant.intent) if grant.intent else now)
        so_far = (
            f"refreshing it failed {grant.attempts} times"
            if grant.attempts
            else "a refresh was begun, its answer is not known"
        )
        error = TokenError(
            f"the token of seller {seller_id} is over; {so_far}, and it is tried again at "
            f"{when:%H:%M:%S} UTC" + (f": {grant.reason}" if grant.reason else "")
        )
        _say_when(error, grant, now)
        error.retryable = True
        return error
    return ReauthorizationRequired(seller_id, grant.reason or "its last token has expired")


def refused(seller_id: str, grant: Grant, now: datetime) -> ReauthorizationRequired:
    """The error of a refused refresh token, before and after the refusal is believed."""
    error = ReauthorizationRequired(seller_id, grant.reason)
    if grant.state != "reauthorize":
        _say_when(error, grant, now)
    return error


def _say_when(error: TokenError, grant: Grant, now: datetime) -> None:
    if grant.retry_at is not None:
        error.retryable = True
        error.retry_after = max((grant.retry_at - now).total_seconds(), 0.0)


def intending(grant: Grant, now: datetime, holder: str) -> Grant:
    """About to present the refresh token, once more where that was never answered.

    The record stays due meanwhile, so that somebody finds it if this process dies.
    """
    if grant.intent is None:
        return changed(grant, intent=Intent(now, holder))
    times = grant.intent.presentations + 1
    return changed(grant, intent=evolve(grant.intent, at=now, holder=holder, presentations=times))


def not_presented(grant: Grant) -> Grant:
    """The intent was stored, but what it announced was not done."""
    if grant.intent is None or not grant.intent.is_probe:
        return changed(grant, intent=None)
    times = grant.intent.presentations - 1
    return changed(grant, intent=evolve(grant.intent, presentations=times))


def renewed(grant: Grant, token: Token) -> Grant:
    """The next pair. What the answer left out is as it was."""
    changes: dict[str, Any] = {}
    if token.refresh_token is None:
        changes["refresh_token"] = grant.token.refresh_token
    if token.refresh_expires_at is None:
        changes["refresh_expires_at"] = grant.token.refresh_expires_at
    if not ids_in(token):
        changes["sellers"] = grant.token.sellers
    for name in ("account", "account_id", "account_platform", "country"):
        if not getattr(token, name):
            changes[name] = getattr(grant.token, name)
    token = evolve(token, **changes) if changes else token
    return changed(
        grant,
        token=token,
        seller_ids=tuple(dict.fromkeys((*grant.seller_ids, *ids_in(token)))),
        generation=grant.generation + 1,
        state="live",
        reason="",
        intent=None,
        attempts=0,
        retry_at=None,
        wanted_at=None,
        warned=still_warned(grant, token),
        candidates=_for_others(grant) if grant.candidates else (),
        unread=(),
        refused_at=None,
    )


def still_warned(grant: Grant, token: Token) -> frozenset[str]:
    """The warnings that need not be given again with the next pair.

    A refresh does not move the end of the refresh token.
    """
    before, after = grant.token.refresh_expires_at, token.refresh_expires_at
    if (
        grant.state == "reauthorize"
        or before is None
        or after is None
        or after - before > _SAME_HORIZON
    ):
        return frozenset()
    return grant.warned - {LAST_WARNING}


def is_for_others(grant: Grant, token: Token) -> bool:
    """Whether an answer names sellers, and none of those that were asked for."""
    named = ids_in(token)
    return bool(named) and set(named).isdisjoint(grant.seller_ids)


def _for_others(grant: Grant) -> tuple[Token, ...]:
    return tuple(token for token in grant.candidates if is_for_others(grant, token))


def has_pair(grant: Grant, token: Token) -> bool:
    """Whether a pair is the newest or a candidate."""
    return token in (grant.token, *grant.candidates)


def with_candidate(grant: Grant, token: Token) -> Grant:
    """Keep a pair that came too late to be the newest, and try it where there is no better one."""
    if has_pair(grant, token):
        return grant
    grant = changed(grant, candidates=(*grant.candidates, token))
    is_refused = grant.state == "reauthorize" or grant.refused_at is not None
    return (promoted(grant, token.issued_at) or grant) if is_refused else grant


def promoted(grant: Grant, now: datetime) -> Grant | None:
    """The newest candidate in the place of a refused pair, to be refreshed at once.

    ``None`` where there is none. The order in which the gateway gave pairs out may be another than
    the order in which they were stored, so one that was put aside may be the live one.
    """
    aside = _for_others(grant)
    ours = [token for token in grant.candidates if token not in aside and token.refreshable]
    if not ours:
        return None
    newest = max(ours, key=lambda token: token.issued_at)
    left = tuple(token for token in grant.candidates if token is not newest)
    return changed(renewed(grant, newest), candidates=left, wanted_at=now)


def finished(grant: Grant, reason: str) -> Grant:
    """No refresh is tried by itself any more; the access token is good to its end."""
    return changed(
        grant,
        intent=None,
        warned=grant.warned | {LAST_WARNING},
        state="reauthorize",
        reason=reason,
        retry_at=None,
    )


def split_off(grant: Grant, approved: Grant) -> Grant | None:
    """The grant as it goes on for its sellers that did not approve, if there are any."""
    others = tuple(
        seller_id for seller_id in grant.seller_ids if seller_id not in approved.seller_ids
    )
    return changed(grant, seller_id=others[0], seller_ids=others, revision=0) if others else None


def without_reapproved(others: Iterable[Grant], grant: Grant) -> Grant | None:
    """The grant as it is for its sellers that approved nothing later, if there are any."""
    taken = {
        seller_id for other in others if other.epoch > grant.epoch for seller_id in other.seller_ids
    }
    left = tuple(seller_id for seller_id in grant.seller_ids if seller_id not in taken)
    if not left:
        return None
    return changed(
        grant, seller_id=grant.seller_id if grant.seller_id in left else left[0], seller_ids=left
    )
