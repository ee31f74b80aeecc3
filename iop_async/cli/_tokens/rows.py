"""A row of somebody's table as a token: an answer of the platform, or columns of one's own. Pure.

Nothing is guessed: a row whose times or ids can be read in two ways is refused, in words that say
what to write instead and repeat no secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from attrs import evolve, fields_dict

from ..._inputs import require_credential
from ..._models import Seller, Token
from ...endpoints._token_answer import doubtful_lifetimes, read_token

# The platform's name for a moment beside ours; its lifetime in seconds.
_ENDS: Final = {
    "expires_at": ("expire_time", ("expires_in",)),
    "refresh_expires_at": ("refresh_token_valid_time", ("refresh_expires_in", "re_expires_in")),
}
_MOMENTS: Final = frozenset({"issued_at", *_ENDS, *(ours for ours, _ in _ENDS.values())})
_LIFETIMES: Final = frozenset(name for _, names in _ENDS.values() for name in names)

# observed: TOP's answers have a lifetime for each level of access, and the kind of the token.
_HARMLESS: Final = re.compile(r"[rw][12]_(?:expires_in|valid)|token_type")
_SUSPECT: Final = re.compile(r"expir|token|valid_|issued|_at$")

_NESTED: Final[Mapping[str, type]] = {"sellers": list, "extra": dict}
_SELLER_NAMES: Final = frozenset(fields_dict(Seller))

_SECONDS: Final = re.compile(r"\d{10}(?:\.\d+)?")
_MILLISECONDS: Final = re.compile(r"\d{13}")

_SHORTENED: Final = re.compile(r"[\d.,]+[eE][+-]?\d+")
_DECIMAL: Final = re.compile(r"\d+[.,]\d+")
_NOTHING: Final = frozenset({"nan", "none", "null", "\\n", "n/a", "#n/a", "undefined"})

_LONGEST: Final = timedelta(days=5 * 366)
_CLOCKS_DIFFER_BY: Final = timedelta(minutes=10)


class BadRow(ValueError):
    """Why a row is no token."""


def token_in(row: Mapping[str, Any], *, now: datetime) -> Token:
    """The token in a row; names may be in any case, and what is empty counts as left out.

    Raises:
        BadRow: it holds none, or one of doubtful ids or times.
    """
    fields = _fields(row)
    ours = {name: _nested(name, fields.pop(name)) for name in _NESTED if name in fields}
    for name in fields:
        require_known(name)
    ends: dict[str, Any] = {
        name: _first(fields, (name, theirs), now) for name, (theirs, _) in _ENDS.items()
    }
    issued_at = _issued_at(fields, ends["expires_at"], now)
    answer = {name: value for name, value in fields.items() if name not in _MOMENTS}
    token = read_token(answer, sent_at=issued_at)
    if token is None:
        raise BadRow("it has no access_token")
    if doubtful := doubtful_lifetimes(token):
        msg = f"{doubtful[0]} is no lifetime in seconds"
        raise BadRow(msg)
    if token.refresh_expires_at == issued_at:  # the platform's word for "cannot be refreshed"
        del ends["refresh_expires_at"]
    token = evolve(token, **{name: end for name, end in ends.items() if end is not None})
    if "sellers" in ours:
        token = evolve(token, sellers=tuple(map(_seller, ours["sellers"])))
    token = evolve(token, extra={**token.extra, **ours.get("extra", {})})
    if token.expires_at is not None and "issued_at" in fields and token.expires_at <= issued_at:
        raise BadRow("the access token ends before it was issued")
    _require_legible(token)
    return token


def require_known(name: str) -> None:
    """Raises ``BadRow`` for a column that looks like a time or token, and is none that is read.

    All others are kept as ``extra``.
    """
    known = _MOMENTS | _LIFETIMES | {"access_token", "refresh_token"}
    if name not in known and _SUSPECT.search(name) and not _HARMLESS.fullmatch(name):
        msg = (
            f"the column {name[:40]!r} is not read, and looks as if it should be: times are "
            f"{', '.join(sorted(known - {'access_token', 'refresh_token'}))}; rename or drop it"
        )
        raise BadRow(msg)


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for given, value in row.items():
        name = given.strip().lower()
        if name in fields:
            msg = f"it has {name[:40]!r} twice"
            raise BadRow(msg)
        if value is not None and value != "":
            fields[name] = value
    return fields


def _nested(name: str, value: Any) -> Any:
    """What ``tokens export`` writes of a token that no single column holds; in CSV as JSON."""
    with suppress(ValueError, RecursionError):
        found = json.loads(value) if isinstance(value, str) else value
        if isinstance(found, _NESTED[name]):
            return found
    msg = f"{name} is not as 'tokens export' writes it"
    raise BadRow(msg)


def _seller(entry: object) -> Seller:
    if isinstance(entry, dict) and entry.keys() <= _SELLER_NAMES:
        texts = {name: text for name, text in entry.items() if text is not None}
        if all(isinstance(text, str) for text in texts.values()):
            return Seller(**texts)
    raise BadRow("sellers is not as 'tokens export' writes it")


def _first(fields: Mapping[str, Any], names: tuple[str, ...], now: datetime) -> datetime | None:
    for name in names:
        if name in fields:
            return _moment(name, fields[name], now)
    return None


def _moment(name: str, value: object, now: datetime) -> datetime:
    text = str(value).strip()
    if _SECONDS.fullmatch(text):
        at = datetime.fromtimestamp(float(text), UTC)
    elif _MILLISECONDS.fullmatch(text):
        at = datetime.fromtimestamp(int(text) / 1000, UTC)
    else:
        at = _iso(name, text)
    if at - now > _LONGEST:
        msg = f"{name} lies more than five years ahead"
        raise BadRow(msg)
    return at


def _iso(name: str, text: str) -> datetime:
    if _SHORTENED.fullmatch(text):
        msg = f"{name} was shortened by a spreadsheet; export the column as text"
        raise BadRow(msg)
    try:
        at = None if text.isdigit() else datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None:
        msg = (
            f"{name} is no time; write ISO 8601 with a time zone, seconds since 1970 (10 digits) "
            "or milliseconds (13 digits)"
        )
        raise BadRow(msg)
    if at.utcoffset() is None:
        msg = f"{name} has no time zone; write 2026-01-31T12:00:00+08:00, say, or ...Z"
        raise BadRow(msg)
    try:
        return at.astimezone(UTC)
    except OverflowError:
        msg = f"{name} lies out of all time"
        raise BadRow(msg) from None


def _issued_at(fields: Mapping[str, Any], expires_at: datetime | None, now: datetime) -> datetime:
    """When the pair was given out; now where only its end is known, which tells it as well."""
    if "issued_at" in fields:
        issued_at = _moment("issued_at", fields["issued_at"], now)
        if issued_at - now > _CLOCKS_DIFFER_BY:
            raise BadRow("issued_at lies in the future")
        return issued_at
    lifetime = fields.get("expires_in")
    if expires_at is not None and lifetime is not None:
        text = str(lifetime).strip()
        if not (text.isdigit() and 1 <= int(text[:12]) <= _LONGEST.total_seconds()):
            raise BadRow("expires_in is no lifetime in seconds")
        return min(expires_at - timedelta(seconds=int(text)), now)
    for moment, (theirs, lifetimes) in _ENDS.items():
        told = [name for name in lifetimes if name in fields and str(fields[name]).strip() != "0"]
        if told and not {moment, theirs} & fields.keys():
            msg = f"{told[0]} counts from when the pair was given out; say that in issued_at"
            raise BadRow(msg)
    if expires_at is None:
        raise BadRow("it says neither when the pair was given out nor when it ends: issued_at")
    return now


def _require_legible(token: Token) -> None:
    for name, secret in _secrets(token):
        if _SHORTENED.fullmatch(secret) or secret.lower() in _NOTHING:
            msg = f"{name} is none, but what a spreadsheet or program left in its place"
            raise BadRow(msg)
        try:
            require_credential(name, secret, "export it as it is")
        except ValueError as error:
            raise BadRow(str(error)) from None
    for name, text in _ids(token):
        if _SHORTENED.fullmatch(text):
            msg = f"{name} is {text[:40]!r}: a spreadsheet shortened it; export the column as text"
            raise BadRow(msg)
        if _DECIMAL.fullmatch(text):
            msg = f"{name} is {text[:40]!r}: ids have no decimals; export the column as text"
            raise BadRow(msg)
        if text.lower() in _NOTHING:
            msg = f"{name} is {text[:40]!r}, which is no id"
            raise BadRow(msg)


def _secrets(token: Token) -> Iterator[tuple[str, str]]:
    yield "access_token", token.access_token
    if token.refresh_token is not None:
        yield "refresh_token", token.refresh_token


def _ids(token: Token) -> Iterator[tuple[str, str]]:
    for seller in token.sellers:
        for name in ("seller_id", "user_id"):
            if text := getattr(seller, name):
                yield name, text
    if token.account_id:
        yield "account_id", token.account_id
