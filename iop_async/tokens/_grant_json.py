"""The body of a record: a grant written down, and read again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from operator import contains, itemgetter
from typing import Any, Final, overload

from attrs import fields_dict

from .._exceptions import StoreError
from .._models import Seller, Token
from .._records import Record
from ._grant import EPOCH, MICROSECOND, Grant, Intent, authorize_by, microseconds

SCHEMA: Final = 1

# Escaped, since an answer may hold half of a surrogate pair, which has no UTF-8.
_write: Final = json.JSONEncoder(separators=(",", ":")).encode
_parse: Final = json.JSONDecoder().decode

_MAX_COUNT: Final = 2**53

# Far enough from the end of all time that anything may be added to a moment.
_LAST_MOMENT: Final = datetime(9000, 1, 1, tzinfo=UTC)

_SELLER_NAMES: Final = tuple(fields_dict(Seller))


def to_record(grant: Grant, *, due_at: datetime | None) -> Record:
    """The grant as a store keeps it. Times are microseconds since 1970, UTC."""
    intent = grant.intent
    body = {
        "schema": SCHEMA,
        "token": _token_to_json(grant.token),
        "authorization": grant.epoch,
        "state": grant.state,
        "reason": grant.reason,
        "intent": intent
        and {
            "at": microseconds(intent.at),
            "holder": intent.holder,
            "presentations": intent.presentations,
            "is_reported": intent.is_reported,
        },
        "attempts": grant.attempts,
        "retry_at": microseconds(grant.retry_at),
        "refused_at": microseconds(grant.refused_at),
        "wanted_at": microseconds(grant.wanted_at),
        "warned": sorted(grant.warned),
        "candidates": [_token_to_json(token) for token in grant.candidates],
        "unread": grant.unread,
    }
    return Record(
        scope=grant.scope,
        seller_id=grant.seller_id,
        seller_ids=grant.seller_ids,
        due_at=due_at,
        dies_at=authorize_by(grant),
        generation=grant.generation,
        revision=grant.revision,
        body=_write(body).encode(),
    )


def _token_to_json(token: Token) -> dict[str, Any]:
    return {
        "access_token": token.access_token,
        "refresh_token": token.refresh_token,
        "issued_at": microseconds(token.issued_at),
        "expires_at": microseconds(token.expires_at),
        "refresh_expires_at": microseconds(token.refresh_expires_at),
        "sellers": [
            {name: getattr(seller, name) for name in _SELLER_NAMES} for seller in token.sellers
        ],
        "account": token.account,
        "account_id": token.account_id,
        "account_platform": token.account_platform,
        "country": token.country,
        "extra": dict(token.extra),
    }


def from_record(record: Record) -> Grant:
    """The grant in a record; what an older version did not write has its default.

    Raises:
        StoreError: a newer version wrote it, or nobody did.
    """
    try:
        body = _parse(record.body.decode("utf-8", "surrogatepass"))
        is_newer = body.get("schema", SCHEMA) > SCHEMA
        if not is_newer:
            return _grant(record, body)
    # A row that anybody may have written: numbers out of range, nested beyond the stack, of any
    # other kind. One that cannot be read must cost no other.
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        is_newer = False
    if is_newer:
        msg = (
            f"the record of seller {record.seller_id} was written by a newer version of iop-async; "
            "upgrade this one"
        )
    else:
        msg = f"the record of seller {record.seller_id} is not readable; it was left as it is"
    raise StoreError(msg, retryable=False)


def _grant(record: Record, body: dict[str, Any]) -> Grant:
    (token, epoch, state, reason, intent, attempts, retry_at, refused_at, wanted_at, warned,
     candidates, unread) = _read(body, _GRANT)  # fmt: skip
    return Grant(
        scope=record.scope,
        seller_id=record.seller_id,
        seller_ids=record.seller_ids,
        token=_token(token),
        epoch=_count(epoch),
        generation=record.generation,
        state=state,
        reason=reason,
        intent=None if intent is None else _intent(intent),
        attempts=_count(attempts),
        retry_at=_moment(retry_at),
        refused_at=_moment(refused_at),
        wanted_at=_moment(wanted_at),
        warned=frozenset(_texts(warned)),
        candidates=tuple(map(_token, candidates)),
        unread=tuple(_texts(unread)),
        revision=record.revision,
    )


def _intent(fields: dict[str, Any]) -> Intent:
    at, holder, presentations, is_reported = _read(fields, _INTENT)
    return Intent(_moment(at), holder, _count(presentations), is_reported)


def _token(fields: dict[str, Any]) -> Token:
    (access_token, refresh_token, issued_at, expires_at, refresh_expires_at, sellers, account,
     account_id, account_platform, country, extra) = _read(fields, _TOKEN)  # fmt: skip
    return Token(
        access_token=access_token,
        refresh_token=refresh_token,
        issued_at=_moment(issued_at),
        expires_at=_moment(expires_at),
        refresh_expires_at=_moment(refresh_expires_at),
        sellers=tuple([Seller(*_read(seller, _SELLER)) for seller in sellers]),
        account=account,
        account_id=account_id,
        account_platform=account_platform,
        country=country,
        extra=dict(extra),
    )


class _Fields:
    """The fields of an object in a body, in order.

    Args:
        kinds: of what types each may be; a bool is no number.
        defaults: of those that an older version did not write.
    """

    def __init__(self, kinds: dict[str, tuple[type, ...]], **defaults: Any) -> None:
        self.values_of = itemgetter(*kinds)
        self.kinds = tuple(kinds.values())
        self.defaults = defaults


_NULL: Final = type(None)

_GRANT: Final = _Fields(
    {
        "token": (dict,),
        "authorization": (int,),
        "state": (str,),
        "reason": (str,),
        "intent": (dict, _NULL),
        "attempts": (int,),
        "retry_at": (int, _NULL),
        "refused_at": (int, _NULL),
        "wanted_at": (int, _NULL),
        "warned": (list,),
        "candidates": (list,),
        "unread": (list,),
    },
    authorization=1,
    state="live",
    reason="",
    intent=None,
    attempts=0,
    retry_at=None,
    refused_at=None,
    wanted_at=None,
    warned=[],
    candidates=[],
    unread=[],
)
_INTENT: Final = _Fields(
    {"at": (int,), "holder": (str,), "presentations": (int,), "is_reported": (bool,)},
    holder="",
    presentations=1,
    is_reported=False,
)
_SELLER: Final = _Fields(dict.fromkeys(_SELLER_NAMES, (str, _NULL)), **dict.fromkeys(_SELLER_NAMES))
_TOKEN: Final = _Fields(
    {
        "access_token": (str,),
        "refresh_token": (str, _NULL),
        "issued_at": (int,),
        "expires_at": (int, _NULL),
        "refresh_expires_at": (int, _NULL),
        "sellers": (list,),
        "account": (str, _NULL),
        "account_id": (str, _NULL),
        "account_platform": (str, _NULL),
        "country": (str, _NULL),
        "extra": (dict,),
    },
    refresh_token=None,
    expires_at=None,
    refresh_expires_at=None,
    sellers=[],
    account=None,
    account_id=None,
    account_platform=None,
    country=None,
    extra={},
)


# What is of another kind than its name says is refused here, where it costs one record: further on
# it would end the task of whoever meets it.


def _read(written: dict[str, Any], fields: _Fields) -> tuple[Any, ...]:
    values: tuple[Any, ...] = fields.values_of(fields.defaults | written)
    if not all(map(contains, fields.kinds, map(type, values))):
        raise TypeError
    return values


def _count(number: int) -> int:
    if not 0 <= number <= _MAX_COUNT:
        raise ValueError
    return number


def _texts(texts: list[Any]) -> list[str]:
    if not {str}.issuperset(map(type, texts)):
        raise TypeError
    return texts


@overload
def _moment(number: int) -> datetime: ...
@overload
def _moment(number: None) -> None: ...
def _moment(number: int | None) -> datetime | None:
    if number is None:
        return None
    moment = EPOCH + number * MICROSECOND
    if EPOCH <= moment <= _LAST_MOMENT:
        return moment
    return _LAST_MOMENT if number > 0 else EPOCH
