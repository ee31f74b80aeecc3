"""A grant: a token pair, and all that must be remembered so that it is never lost.

Grants are values. What an approval or a refresh does to one is a function here, without I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from attrs import evolve, field, frozen

from .._models import Token

State: TypeAlias = Literal["live", "ambiguous", "reauthorize"]

_JITTER: Final = timedelta(hours=1)
"""Between two ends of a refresh token that are one, told in seconds from now each time."""

LAST_WARNING: Final = "now"
"""Of those in ``warned``: that only the seller can give another token."""


@frozen
class Intent:
    """A refresh token is about to be presented, or was: the answer is not known yet.

    Attributes:
        at: since when.
        holder: who presents it.
        presentations: how often by now; more than once is to probe, after a lost answer.
        is_reported: somebody was told of the lost answer; nobody was where a process died.
    """

    at: datetime
    holder: str = ""
    presentations: int = 1
    is_reported: bool = False

    @property
    def is_probe(self) -> bool:
        """Whether the refresh token was presented before."""
        return self.presentations > 1


@frozen(kw_only=True)
class Grant:
    """What a seller allowed, and how its refreshing goes.

    Attributes:
        scope, seller: what the grant is filed under.
        sellers: every seller id that finds it.
        token: the newest pair.
        authorization: tells the approvals of the seller apart, a later one by a higher number; a
            late answer to a refresh of an earlier one is of no worth.
        generation: counts the pairs.
        state: ``live``; ``ambiguous``: a refresh token was presented twice and it is not known
            whether it is spent; ``reauthorize``: only the seller can give another token.
        reason: why it is not ``live``, or what went wrong last.
        intent: set from before a refresh token is presented until its answer is stored.
        attempts: refreshes that failed since the last that did not.
        retry_at: no refresh before this.
        wanted_at: a refresh is wanted from then on, whether or not the token is due.
        warned: which warnings were given, each once.
        candidates: pairs that somebody received and could not store as the newest.
        unread: answers that nobody could read, each of which may hold a pair.
        revision: the store's count of writes.
    """

    scope: str
    seller: str
    sellers: tuple[str, ...]
    token: Token
    authorization: int = 1
    generation: int = 1
    state: State = "live"
    reason: str = ""
    intent: Intent | None = None
    attempts: int = 0
    retry_at: datetime | None = None
    wanted_at: datetime | None = None
    warned: frozenset[str] = frozenset()
    candidates: tuple[Token, ...] = field(default=(), repr=False)
    unread: tuple[str, ...] = field(default=(), repr=False)
    revision: int = 0

    @property
    def age(self) -> tuple[int, int]:
        """What tells a newer pair of a seller from an older one: the higher is the newer."""
        return self.authorization, self.generation

    @property
    def version(self) -> tuple[int, int, int]:
        """What tells a later state of a grant from an earlier one: the higher is the later."""
        return *self.age, self.revision


def names_of(token: Token) -> tuple[str, ...]:
    """The seller ids that a token serves, or the next best name where it has none."""
    ids = _ids_of(token)
    ids = ids or [seller.user_id for seller in token.sellers if seller.user_id]
    ids = ids or [name for name in (token.account_id, token.account) if name][:1]
    ids = ids or [hashlib.sha256(token.access_token.encode()).hexdigest()[:16]]
    return tuple(dict.fromkeys(ids))


def _ids_of(token: Token) -> list[str]:
    return [seller.seller_id for seller in token.sellers if seller.seller_id]


def authorized(scope: str, token: Token, before: Grant | None) -> Grant:
    """A grant that the seller has just given, in the place of an earlier one if there was one."""
    names = names_of(token)
    # Counting from 1 would give a seller that left and came back the number it had before.
    number = max(microseconds(token.issued_at), before.authorization + 1 if before else 1)
    if before is None or not set(before.sellers) <= set(names):
        # One of several sellers approved alone: the others go on with what they have.
        return Grant(scope=scope, seller=names[0], sellers=names, token=token, authorization=number)
    return Grant(
        scope=scope,
        seller=before.seller,
        sellers=names,
        token=token,
        authorization=number,
        generation=before.generation + 1,
        revision=before.revision,
    )


def intending(grant: Grant, now: datetime, holder: str) -> Grant:
    """About to present the refresh token, once more where that was never answered.

    The record stays due meanwhile, so that somebody finds it if this process dies.
    """
    if grant.intent is None:
        return evolve(grant, intent=Intent(now, holder))
    times = grant.intent.presentations + 1
    return evolve(grant, intent=evolve(grant.intent, at=now, holder=holder, presentations=times))


def not_presented(grant: Grant) -> Grant:
    """The intent was stored, but what it announced was not done."""
    if grant.intent is None or not grant.intent.is_probe:
        return evolve(grant, intent=None)
    times = grant.intent.presentations - 1
    return evolve(grant, intent=evolve(grant.intent, presentations=times))


def renewed(grant: Grant, token: Token) -> Grant:
    """The next pair. What the answer left out is as it was."""
    changes: dict[str, Any] = {}
    if token.refresh_token is None:
        changes["refresh_token"] = grant.token.refresh_token
    if token.refresh_expires_at is None:
        changes["refresh_expires_at"] = grant.token.refresh_expires_at
    if not _ids_of(token):
        changes["sellers"] = grant.token.sellers
    for name in ("account", "account_id", "account_platform", "country"):
        if not getattr(token, name):
            changes[name] = getattr(grant.token, name)
    token = evolve(token, **changes) if changes else token
    return evolve(
        grant,
        token=token,
        sellers=tuple(dict.fromkeys((*grant.sellers, *_ids_of(token)))),
        generation=grant.generation + 1,
        state="live",
        reason="",
        intent=None,
        attempts=0,
        retry_at=None,
        wanted_at=None,
        warned=still_warned(grant, token),
        candidates=_for_others(grant),
        unread=(),
    )


def still_warned(grant: Grant, token: Token) -> frozenset[str]:
    """The warnings that need not be given again with the next pair.

    A refresh does not move the end of the refresh token.
    """
    before, after = grant.token.refresh_expires_at, token.refresh_expires_at
    if grant.state != "live" or before is None or after is None or after - before > _JITTER:
        return frozenset()
    return grant.warned - {LAST_WARNING}


def is_for_others(grant: Grant, token: Token) -> bool:
    """Whether an answer names sellers, and none of those that were asked for."""
    named = _ids_of(token)
    return bool(named) and set(named).isdisjoint(grant.sellers)


def _for_others(grant: Grant) -> tuple[Token, ...]:
    return tuple(token for token in grant.candidates if is_for_others(grant, token))


def has_pair(grant: Grant, token: Token) -> bool:
    """Whether a pair is the newest or a candidate."""
    return token in (grant.token, *grant.candidates)


def with_candidate(grant: Grant, token: Token) -> Grant:
    """Keep a pair that came too late to be the newest, and try it where there is no better one."""
    if has_pair(grant, token):
        return grant
    grant = evolve(grant, candidates=(*grant.candidates, token))
    return grant if grant.state == "live" else promoted(grant, token.issued_at) or grant


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
    return evolve(renewed(grant, newest), candidates=left, wanted_at=now)


def finished(grant: Grant, state: State, reason: str) -> Grant:
    """No refresh will be tried any more; the access token is good to its end."""
    if state == "reauthorize":
        grant = evolve(grant, intent=None, warned=grant.warned | {LAST_WARNING})
    return evolve(grant, state=state, reason=reason, retry_at=None)


def postponed(grant: Grant, retry_at: datetime, reason: str) -> Grant:
    """The refresh token was certainly not spent: try again later."""
    return evolve(grant, intent=None, attempts=grant.attempts + 1, retry_at=retry_at, reason=reason)


def unanswered(grant: Grant, retry_at: datetime, reason: str, unread: str | None) -> Grant:
    """The refresh token may be spent: the intent stays, to be probed once."""
    return evolve(
        grant,
        intent=evolve(grant.intent, is_reported=True) if grant.intent else None,
        attempts=grant.attempts + 1,
        retry_at=retry_at,
        reason=reason,
        unread=(*grant.unread, unread) if unread else grant.unread,
    )


def authorize_by(grant: Grant) -> datetime | None:
    """By when the seller must approve again: the end of what the grant can still give."""
    token = grant.token
    if grant.state == "live" and token.refreshable:
        return token.refresh_expires_at
    return token.expires_at


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Since 1970, UTC."""
    return (moment - EPOCH) // MICROSECOND


def apart(grant: Grant, approved: Grant) -> Grant | None:
    """The grant as it goes on for its sellers that did not approve, if there are any."""
    others = tuple(seller for seller in grant.sellers if seller not in approved.sellers)
    return evolve(grant, seller=others[0], sellers=others, revision=0) if others else None


def left_by(others: Iterable[Grant], grant: Grant) -> Grant | None:
    """The grant as it is for its sellers that approved nothing later, if there are any."""
    taken = {
        seller
        for other in others
        if other.authorization > grant.authorization
        for seller in other.sellers
    }
    left = tuple(seller for seller in grant.sellers if seller not in taken)
    if not left:
        return None
    return evolve(grant, seller=grant.seller if grant.seller in left else left[0], sellers=left)


def newest(*grants: Grant | None) -> Grant | None:
    """The newest; the first of several that are."""
    known = [grant for grant in grants if grant is not None]
    return max(known, key=lambda grant: grant.age, default=None)
