"""How a grant is written down, and read again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from attrs import asdict, fields_dict

from .._exceptions import StoreError
from .._models import Seller, Token
from .._records import Record
from ._grants import EPOCH, MICROSECOND, Grant, Intent, authorize_by, microseconds

SCHEMA: Final = 1


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


def _moment_to_json(moment: datetime | None) -> int | None:
    """Microseconds since 1970, UTC."""
    return None if moment is None else microseconds(moment)


def _moment(microseconds: int) -> datetime:
    return EPOCH + microseconds * MICROSECOND


def _moment_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _moment(microseconds)
