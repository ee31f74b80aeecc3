"""A seller's grant as the manager keeps it, and when somebody must look at it: values, pure."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, overload

from attrs import evolve, field, frozen

from .._models import Token
from .._refresh import RefreshPolicy, can_refresh
from .._values import changed
from ..calling import LONGEST_WAIT, backoff
from ..endpoints._token_answer import id_without_seller

State: TypeAlias = Literal["live", "ambiguous", "reauthorize"]

LATEST_RETRY: Final = timedelta(seconds=LONGEST_WAIT * 1.5)
"""No failure postpones a refresh for longer: what says so was written by a wrong clock."""

_DOUBT: Final = timedelta(hours=1)

LAST_WARNING: Final = "now"
"""Of those in ``warned``: that only the seller can give another token."""

WARNINGS: Final = {
    "14 days": timedelta(days=14),
    "7 days": timedelta(days=7),
    "48 hours": timedelta(hours=48),
    LAST_WARNING: timedelta(0),
}
"""How long before a grant ends its seller is to be told, each once."""


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


@frozen(kw_only=True, slots=False)  # made often: with slots that takes twice as long
class Grant:
    """What a seller allowed, and how its refreshing goes.

    Attributes:
        scope, seller: what the grant is filed under.
        seller_ids: every seller id that finds it.
        token: the newest pair.
        epoch: tells the approvals of the seller apart, a later one by a higher number; a
            late answer to a refresh of an earlier one is of no worth.
        generation: counts the pairs.
        state: ``live``; ``ambiguous``: a refresh token was presented more than once, and it is not
            known whether it is spent: it is presented again until an answer is definite;
            ``reauthorize``: only the seller can give another token.
        reason: why it is not ``live``, or what went wrong last.
        intent: set from before a refresh token is presented until its answer is stored.
        attempts: refreshes that failed since the last that did not.
        retry_at: no refresh before this.
        refused_at: when the refresh token was refused first; a refusal is believed at the second
            look.
        wanted_at: a refresh is wanted from then on, whether or not the token is due.
        warned: which warnings were given, each once.
        candidates: pairs that somebody received and could not store as the newest.
        unread: answers that nobody could read, each of which may hold a pair.
        revision: the store's count of writes.
    """

    scope: str
    seller_id: str
    seller_ids: tuple[str, ...]
    token: Token
    epoch: int = 1
    generation: int = 1
    state: State = "live"
    reason: str = ""
    intent: Intent | None = None
    attempts: int = 0
    retry_at: datetime | None = None
    refused_at: datetime | None = None
    wanted_at: datetime | None = None
    warned: frozenset[str] = frozenset()
    candidates: tuple[Token, ...] = field(default=(), repr=False)
    unread: tuple[str, ...] = field(default=(), repr=False)
    revision: int = 0

    @property
    def secrets(self) -> frozenset[str]:
        """The tokens in it, for the masking of words about it."""
        tokens = (self.token, *self.candidates)
        texts = (text for each in tokens for text in (each.access_token, each.refresh_token))
        return frozenset(filter(None, texts))

    @property
    def age(self) -> tuple[int, int]:
        """What tells a newer pair of a seller from an older one: the higher is the newer."""
        return self.epoch, self.generation

    @property
    def version(self) -> tuple[int, int, int]:
        """What tells a later state of a grant from an earlier one: the higher is the later."""
        return *self.age, self.revision


def seller_ids_of(token: Token) -> tuple[str, ...]:
    """What a manager knows the grant of a token by: it answers to each of these as a seller id.

    The seller ids that the token serves; where it has none, the user ids, or an id of the account
    that stays the same; where it has nothing, a name made of the access token. Ask with the token
    that ``authorize`` or ``import_token`` returned: a refreshed one may name less.

    Example::

        token = await tokens.authorize(code)
        seller_id, *others = iop.tokens.seller_ids_of(token)
        assert await tokens.token(seller_id) == token
    """
    ids = lasting_ids(token) or [hashlib.sha256(token.access_token.encode()).hexdigest()[:16]]
    return tuple(dict.fromkeys(ids))


def lasting_ids(token: Token) -> list[str]:
    """The ids that a token has for its sellers, which name the next authorization as well."""
    ids = ids_in(token)
    ids = ids or [seller.user_id for seller in token.sellers if seller.user_id]
    return ids or [name for name in (id_without_seller(token),) if name]


def ids_in(token: Token) -> list[str]:
    """The seller ids that an answer names."""
    return [seller.seller_id for seller in token.sellers if seller.seller_id]


def authorize_by(grant: Grant) -> datetime | None:
    """By when the seller must approve again: the end of what the grant can still give."""
    token = grant.token
    if grant.state != "reauthorize" and token.refreshable:
        return token.refresh_expires_at
    return token.expires_at


def renews_by(grant: Grant, moment: datetime) -> bool:
    """Whether what ends at a moment that a platform names is an access token that is refreshed."""
    token = grant.token
    if grant.state == "reauthorize" or not token.refreshable or token.expires_at is None:
        return False
    # 120208 does not say which of both it means; hours of doubt concern no person.
    later = moment + _DOUBT
    is_access = moment <= token.expires_at + _DOUBT
    return is_access and (token.refresh_expires_at is None or token.refresh_expires_at > later)


def refresh_at(grant: Grant, policy: RefreshPolicy) -> datetime | None:
    """When to refresh, failures considered; ``None`` where nobody may."""
    token = grant.token
    if grant.state == "reauthorize" or not token.refreshable:
        return None
    moment = policy.due_at(token)
    if grant.intent is not None:
        probe = probe_at(grant, grant.intent)
        # a first intent leaves the time as it was: no index of a store need change for it
        moment = probe if grant.intent.is_probe else min(moment, probe)
    if grant.wanted_at is not None:
        moment = min(moment, grant.wanted_at)
    if grant.retry_at is not None:
        moment = max(moment, grant.retry_at)
    if token.refresh_expires_at is not None and moment >= token.refresh_expires_at:
        return None
    return moment


def probe_at(grant: Grant, intent: Intent) -> datetime:
    """When to present again what was never answered (aware UTC)."""
    if grant.retry_at is not None and grant.retry_at > intent.at:
        return grant.retry_at  # somebody lived to say when
    if not intent.is_probe:
        return intent.at
    # Processes that die of the answer, one after the other, must not do so in a loop.
    first = first_probe(grant.token, intent.at)
    return intent.at + timedelta(seconds=backoff(intent.presentations - 2, 0.0, first=first))


def first_probe(token: Token, now: datetime) -> float:
    """Seconds before a lost answer is asked for: few where the access token is about to end."""
    has_minutes = token.expires_at is not None and token.expires_at - now > timedelta(minutes=2)
    return 30.0 if has_minutes else 5.0


def plausible(grant: Grant, now: datetime) -> Grant:
    """The grant without times that only a wrong clock can have given it."""
    latest = now + LATEST_RETRY
    changes: dict[str, Any] = {}
    if grant.retry_at is not None and grant.retry_at > latest:
        changes["retry_at"] = None
    if grant.wanted_at is not None and grant.wanted_at > latest:
        changes["wanted_at"] = now
    if grant.refused_at is not None and grant.refused_at > latest:
        changes["refused_at"] = now
    if grant.intent is not None and grant.intent.at > now:  # by another host's clock
        changes["intent"] = evolve(grant.intent, at=now)
    return changed(grant, **changes) if changes else grant


def is_due(grant: Grant, policy: RefreshPolicy, now: datetime) -> bool:
    """Whether to refresh it now."""
    moment = refresh_at(plausible(grant, now), policy)
    return moment is not None and moment <= now and can_refresh(grant.token, now)


def due_at(grant: Grant, policy: RefreshPolicy) -> datetime | None:
    """When to look at the grant next, be it to refresh it or to warn.

    Once its last warning was given nobody need look: that was when its refresh token had expired.
    """
    # By somebody's clock, which may be wrong: who needs the token decides by his own.
    moment = None if LAST_WARNING in grant.warned else refresh_at(grant, policy)
    moments = (moment, *_warning_times(grant).values())
    return min((moment for moment in moments if moment is not None), default=None)


def warning_due(grant: Grant, now: datetime) -> str | None:
    """The most urgent warning whose time has come and that was not given."""
    come = [name for name, moment in _warning_times(grant).items() if moment <= now]
    return come[-1] if come else None


def warned(grant: Grant, warning: str) -> frozenset[str]:
    """The warnings given once this one is: a more urgent one makes the others idle."""
    names = list(WARNINGS)
    return grant.warned | set(names[: names.index(warning) + 1])


def _warning_times(grant: Grant) -> dict[str, datetime]:
    end = authorize_by(grant)
    if end is None:
        return {}
    return {
        name: end - lead
        for name, lead in WARNINGS.items()
        if name not in grant.warned and (not lead or end - lead > grant.token.issued_at)
    }


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


@overload
def microseconds(moment: datetime) -> int: ...
@overload
def microseconds(moment: None) -> None: ...
def microseconds(moment: datetime | None) -> int | None:
    """Since 1970, UTC."""
    return None if moment is None else (moment - EPOCH) // MICROSECOND


def newest(*grants: Grant | None) -> Grant | None:
    """The newest; the first of several that are."""
    known = [grant for grant in grants if grant is not None]
    return max(known, key=lambda grant: grant.age, default=None)
