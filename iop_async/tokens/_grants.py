"""A grant: a token pair, and all that must be remembered so that it is never lost.

Grants are values. What a refresh does to one is a function here, without I/O; :func:`to_record`
and :func:`from_record` are the only ones that know how a grant is written down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from attrs import asdict, evolve, field, fields_dict, frozen

from .._exceptions import StoreError
from .._models import Seller, Token
from .._records import Record

SCHEMA: Final = 1

State: TypeAlias = Literal["live", "ambiguous", "reauthorize"]


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
    number = max(_microseconds(token.issued_at), before.authorization + 1 if before else 1)
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
        warned=frozenset(),
        candidates=_for_others(grant),
        unread=(),
    )


def is_for_others(grant: Grant, token: Token) -> bool:
    """Whether an answer names sellers, and none of those that were asked for."""
    named = _ids_of(token)
    return bool(named) and set(named).isdisjoint(grant.sellers)


def _for_others(grant: Grant) -> tuple[Token, ...]:
    return tuple(token for token in grant.candidates if is_for_others(grant, token))


def with_candidate(grant: Grant, token: Token) -> Grant:
    """Keep a pair that came too late to be the newest, and try it where there is no better one."""
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
    intent = grant.intent if state == "ambiguous" else None
    return evolve(grant, state=state, reason=reason, intent=intent, retry_at=None)


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


def to_record(grant: Grant, *, due_at: datetime | None) -> Record:
    """The grant as a store keeps it."""
    body = {
        "schema": SCHEMA,
        "token": _token_to_json(grant.token),
        "authorization": grant.authorization,
        "state": grant.state,
        "reason": grant.reason,
        "intent": _intent_to_json(grant.intent),
        "attempts": grant.attempts,
        "retry_at": _moment_to_json(grant.retry_at),
        "wanted_at": _moment_to_json(grant.wanted_at),
        "warned": sorted(grant.warned),
        "candidates": [_token_to_json(token) for token in grant.candidates],
        "unread": list(grant.unread),
    }
    return Record(
        scope=grant.scope,
        seller=grant.seller,
        sellers=grant.sellers,
        due_at=due_at,
        dies_at=authorize_by(grant),
        generation=grant.generation,
        revision=grant.revision,
        # Escaped, since an answer may hold half of a surrogate pair, which has no UTF-8.
        body=json.dumps(body, separators=(",", ":")).encode(),
    )


def from_record(record: Record) -> Grant:
    """The grant in a record; what an older version did not write has its default.

    Raises:
        StoreError: a newer version wrote it, or nobody did.
    """
    body = _read_body(record)
    try:
        return _grant(record, body)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _unreadable(record) from None


def _grant(record: Record, body: dict[str, Any]) -> Grant:
    return Grant(
        scope=record.scope,
        seller=record.seller,
        sellers=record.sellers,
        token=_token_from_json(body["token"]),
        authorization=body.get("authorization", 1),
        generation=record.generation,
        state=body.get("state", "live"),
        reason=body.get("reason", ""),
        intent=_intent_from_json(body.get("intent")),
        attempts=body.get("attempts", 0),
        retry_at=_moment_or_none(body.get("retry_at")),
        wanted_at=_moment_or_none(body.get("wanted_at")),
        warned=frozenset(body.get("warned", ())),
        candidates=tuple(_token_from_json(token) for token in body.get("candidates", ())),
        unread=tuple(body.get("unread", ())),
        revision=record.revision,
    )


def _read_body(record: Record) -> dict[str, Any]:
    try:
        body = json.loads(record.body)
    except ValueError:
        body = None
    if not isinstance(body, dict) or "token" not in body:
        raise _unreadable(record)
    if body.get("schema", SCHEMA) > SCHEMA:
        msg = (
            f"the record of seller {record.seller} was written by a newer version of iop-async; "
            "upgrade this one"
        )
        raise StoreError(msg)
    return body


def _unreadable(record: Record) -> StoreError:
    return StoreError(f"the record of seller {record.seller} is not readable; it was left as it is")


def _intent_to_json(intent: Intent | None) -> dict[str, Any] | None:
    if intent is None:
        return None
    return asdict(intent) | {"at": _moment_to_json(intent.at)}


def _intent_from_json(fields: dict[str, Any] | None) -> Intent | None:
    if fields is None:
        return None
    return Intent(
        _moment(fields["at"]),
        fields.get("holder", ""),
        fields.get("presentations", 1),
        fields.get("is_reported", False),
    )


def _token_to_json(token: Token) -> dict[str, Any]:
    return {
        "access_token": token.access_token,
        "refresh_token": token.refresh_token,
        "issued_at": _moment_to_json(token.issued_at),
        "expires_at": _moment_to_json(token.expires_at),
        "refresh_expires_at": _moment_to_json(token.refresh_expires_at),
        "sellers": [asdict(seller) for seller in token.sellers],
        "account": token.account,
        "account_id": token.account_id,
        "account_platform": token.account_platform,
        "country": token.country,
        "extra": dict(token.extra),
    }


def _token_from_json(fields: dict[str, Any]) -> Token:
    return Token(
        access_token=fields["access_token"],
        refresh_token=fields.get("refresh_token"),
        issued_at=_moment(fields["issued_at"]),
        expires_at=_moment_or_none(fields.get("expires_at")),
        refresh_expires_at=_moment_or_none(fields.get("refresh_expires_at")),
        sellers=_sellers(fields.get("sellers", ())),
        account=fields.get("account"),
        account_id=fields.get("account_id"),
        account_platform=fields.get("account_platform"),
        country=fields.get("country"),
        extra=fields.get("extra", {}),
    )


_SELLER: Final = frozenset(fields_dict(Seller))


def _sellers(listed: Iterable[dict[str, Any]]) -> tuple[Seller, ...]:
    # A later release may have added fields.
    return tuple(
        Seller(**{name: value for name, value in seller.items() if name in _SELLER})
        for seller in listed
    )


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment_to_json(moment: datetime | None) -> int | None:
    """Microseconds since 1970, UTC."""
    return None if moment is None else _microseconds(moment)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND


def _moment_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _moment(microseconds)
