"""Read a token out of every shape that the gateways are known to give it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from .._exceptions import ProtocolError
from .._models import Reply, Seller, Token
from .._redact import Secret

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_EPOCH_MILLISECONDS_FROM = 10**11
"""A 'lifetime' this long (3,000 years) is a point in time in milliseconds."""

_TOO_MANY_DIGITS = 16
"""Beyond any time in milliseconds that a calendar knows."""

_SELLER_LISTS = ("country_user_info", "country_user_info_list", "user_info")
_SELLER_FIELDS = ("seller_id", "user_id", "short_code")
_TIMES = ("expires_in", "refresh_expires_in", "expire_time", "refresh_token_valid_time")
_TEXTS = ("account", "account_id", "account_platform", "country")
_KNOWN = frozenset(
    {
        *_SELLER_LISTS,
        *_SELLER_FIELDS,
        *_TIMES,
        *_TEXTS,
        "access_token",
        "refresh_token",
        "code",
        "request_id",
        "_trace_id_",
    }
)


def hidden(name: str, value: str) -> Secret:
    """A code or refresh token as text that no traceback prints.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(value, str) or not value.strip():
        msg = f"{name} is empty; nothing was sent"
        raise ValueError(msg)
    return Secret(value)


def parse_token(reply: Reply) -> Token:
    """The token in a reply, its lifetimes counted from ``reply.sent_at``.

    Numbers may be text, and times seconds or epoch milliseconds; names may be in any case; the
    sellers may be a list, a mapping by country, one object, or fields of the token itself.

    Raises:
        ProtocolError: there is no access token; ``content`` keeps the answer as it came, since
            the code or refresh token that bought it is spent.
    """
    if reply.sent_at is None:
        msg = "the reply does not say when its request was sent; set Reply.sent_at"
        raise ValueError(msg)
    token = _read(reply.data, reply.sent_at) if isinstance(reply.data, Mapping) else None
    if token is None:
        raise ProtocolError(
            f"the answer holds no access token (request_id {reply.request_id})",
            status=reply.response.status if reply.response else 200,
            content=reply.response.content if reply.response else b"",
        )
    return token


def _read(answer: Mapping[str, Any], sent_at: datetime) -> Token | None:
    fields = {str(name).lower(): value for name, value in answer.items()}
    access_token = _text(fields.get("access_token"))
    if access_token is None:
        return None
    return Token(
        access_token=access_token,
        refresh_token=_text(fields.get("refresh_token")),
        issued_at=sent_at,
        expires_at=_end(sent_at, fields, "expires_in", "expire_time"),
        refresh_expires_at=_end(sent_at, fields, "refresh_expires_in", "refresh_token_valid_time"),
        sellers=tuple(_sellers(fields)),
        **{name: _text(fields.get(name)) for name in _TEXTS},
        extra={name: value for name, value in answer.items() if name.lower() not in _KNOWN},
    )


def _text(value: object) -> str | None:
    """Text of an id or token, which some markets send as a number; such as any store can keep."""
    if value is None or isinstance(value, (bool, dict, list)):
        return None
    return str(value).encode("utf-8", "replace").decode().replace("\0", "").strip() or None


def _number(value: object) -> Decimal | None:
    """A number sent as a number or as text; ``None`` for anything else."""
    try:
        number = Decimal(_text(value) or "")
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < _TOO_MANY_DIGITS else None


def _end(
    sent_at: datetime, fields: Mapping[str, Any], lifetime: str, moment: str
) -> datetime | None:
    """When a token ends: by its lifetime, else by its end in epoch milliseconds, else unknown."""
    seconds = _number(fields.get(lifetime))
    milliseconds = _number(fields.get(moment))
    if seconds is not None and seconds >= _EPOCH_MILLISECONDS_FROM:
        seconds, milliseconds = None, seconds
    try:
        if seconds is not None:
            return sent_at + timedelta(seconds=int(max(seconds, Decimal(0))))
        if milliseconds is not None and milliseconds > 0:
            return _EPOCH + timedelta(milliseconds=int(milliseconds))
    except OverflowError:
        pass
    return None


def _sellers(fields: Mapping[str, Any]) -> Iterator[Seller]:
    country = _text(fields.get("country"))
    for name in _SELLER_LISTS:
        listed = [_seller(entry, key or country) for key, entry in _entries(fields.get(name))]
        if listed:
            yield from dict.fromkeys(listed)
            return
    if any(_text(fields.get(name)) for name in _SELLER_FIELDS):
        yield _seller(fields, country)


def _entries(listed: object) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """The entries of a list, of a mapping by country, or of a single object."""
    if isinstance(listed, list):
        for entry in listed:
            if isinstance(entry, Mapping):
                yield None, entry
    elif isinstance(listed, Mapping):
        if any(isinstance(entry, Mapping) for entry in listed.values()):
            for country, entry in listed.items():
                if isinstance(entry, Mapping):
                    yield country, entry
        elif listed:
            yield None, listed


def _seller(entry: Mapping[str, Any], country: str | None) -> Seller:
    fields = {str(name).lower(): _text(value) for name, value in entry.items()}
    country = fields.get("country") or country
    return Seller(
        country=country.lower() if country else None,
        **{name: fields.get(name) for name in _SELLER_FIELDS},
    )
