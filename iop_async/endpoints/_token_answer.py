"""A trade for a token, and the token in every shape that the gateways are known to give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import unquote

from .._exceptions import IopError, ProtocolError
from .._models import Reply, Seller, Token
from .._redact import Secret
from ..protocols import Caller
from ._salvage import find_pair

# Lifetimes are seconds, the moments beside them epoch milliseconds. The documents' samples write
# text; observed: production writes numbers. `re_expires_in` is TOP's name (observed).
_ACCESS: Final = ("expires_in",), "expire_time"
_REFRESH: Final = ("refresh_expires_in", "re_expires_in"), "refresh_token_valid_time"
_LIFETIMES: Final = frozenset({*_ACCESS[0], *_REFRESH[0]})

# observed: 18 months is the longest that any market gives. A guide of AliExpress shows 100 years,
# in seconds: no token of ours is to be looked at again in 2122, so that is not believed.
_LONGEST: Final = timedelta(days=5 * 366)
_LONGEST_SECONDS: Final = 5 * 366 * 86_400

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_NUMBER: Final = 64
_TOO_MANY_DIGITS: Final = 16
_TOO_LATE: Final = 10**14
"""Beyond any time in milliseconds that a calendar knows, as is 10¹⁴ of them."""

# observed: Lazada's answers have both lists after a refresh, Daraz's local sellers the object, and
# Alibaba.com's object has a loginId besides.
_SELLER_LISTS = ("country_user_info", "country_user_info_list", "user_info")
_SELLER_FIELDS = ("seller_id", "user_id", "short_code")
_SELLER_NAMES = frozenset({*_SELLER_FIELDS, "country"})
_TOP_USER_ID = "taobao_user_id"
# AliExpress's page of /auth/token/create: account_id is null for seller_center.
_TEXTS = ("account", "account_id", "account_platform", "country")
_KNOWN = frozenset(
    {
        *_SELLER_FIELDS,
        _ACCESS[1],
        _REFRESH[1],
        *_TEXTS,
        _TOP_USER_ID,
        "access_token",
        "refresh_token",
        "code",
        "request_id",
        "_trace_id_",
    }
)
# observed: names of ids in answers of AliExpress, TOP and Alibaba.com.
_OTHER_IDS = (
    "havana_id", "taobao_open_uid", "open_uid", "open_id", "loginId", "login_id", "user_nick",
)  # fmt: skip


def require_secret(name: str, value: Any) -> Secret:
    """A code or refresh token as text that no traceback prints.

    Raises:
        TypeError: it is no text.
        ValueError: there is none.
    """
    if value is not None and not isinstance(value, str):
        msg = f"{name} is of type {type(value).__name__}; give it as text; nothing was sent"
        raise TypeError(msg)
    if value is None or not value.strip():
        msg = f"{name} is empty; nothing was sent"
        raise ValueError(msg)
    return Secret(value)


async def trade(
    caller: Caller, api: str, params: Mapping[str, object], parse: Callable[[Reply], Token]
) -> Token:
    """The token that a call brings.

    An answer that looks like a failure may bring one all the same: the pair under status 500, one
    bad byte in a shop's name. It is spent with what was presented, so it is looked for.
    """
    try:
        return parse(await caller.call(api, params, idempotent=False))
    except IopError as error:
        presented = params.get("refresh_token")
        token = recover_token(
            getattr(error, "content", b""),
            sent_at=error.sent_at,
            presented=presented if isinstance(presented, str) else None,
        )
        if token is None:
            raise
        return token


def recover_token(
    content: bytes | str, *, sent_at: datetime | None, presented: str | None = None
) -> Token | None:
    """The token in an answer that could not be read, if there is one to be had.

    Pure, so that what was kept of an answer can be tried again by a later version.

    Args:
        content: the answer as received, or as text.
        sent_at: when its request was sent (aware), which its lifetimes count from; without it
            there is no token.
        presented: the refresh token that was sent, which an error may repeat.

    Example::

        kept = b'<p>moved</p>{"access_token": "a1", "refresh_token": "r1", "expires_in": 60}'
        token = iop.auth.recover_token(kept, sent_at=datetime.now(UTC))
        assert token is not None and token.refresh_token == "r1"
    """
    if not content or sent_at is None:
        return None
    fields = find_pair(content, presented=presented)
    return None if fields is None else read_token(fields, sent_at=sent_at)


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
    fields = reply.data if isinstance(reply.data, Mapping) else {}
    token = read_token(fields, sent_at=reply.sent_at)
    if token is None:
        error = ProtocolError(
            f"the answer holds no access token (request_id {reply.request_id})",
            status=reply.response.status if reply.response else 200,
            content=reply.response.content if reply.response else b"",
        )
        error.sent_at = reply.sent_at
        raise error
    return token


def read_token(answer: Mapping[str, Any], *, sent_at: datetime) -> Token | None:
    """The token in the fields of an answer, ``None`` where there is no access token."""
    # observed: TaoWorld's document spells user_Id and seller_Id, its gateway in lower case.
    fields = {str(name).lower(): value for name, value in answer.items()}
    access_token = text_of(fields.get("access_token"))
    if access_token is None:
        return None
    expires_at, doubts = _end(fields, sent_at, *_ACCESS)
    refresh_expires_at, more_doubts = _end(fields, sent_at, *_REFRESH, may_be_zero=True)
    sellers, lists = _sellers(fields)
    read = _KNOWN | (_LIFETIMES - {doubts, more_doubts}) | lists
    texts = {name: text_of(fields.get(name)) for name in _TEXTS}
    # observed: TOP's nick comes percent-encoded.
    if not texts["account"] and (nick := text_of(fields.get("taobao_user_nick"))) is not None:
        texts["account"] = unquote(nick) or None
    return Token(
        access_token=access_token,
        refresh_token=text_of(fields.get("refresh_token")),
        issued_at=sent_at,
        expires_at=expires_at,
        refresh_expires_at=refresh_expires_at,
        sellers=sellers,
        **texts,
        extra={
            name: value
            for name, value in answer.items()
            if name not in read and str(name).lower() not in read
        },
    )


def id_without_seller(token: Token) -> str | None:
    """An id that stays the same at each authorization, for a token that names no seller."""
    names = (token.account_id, token.account, *map(token.extra.get, _OTHER_IDS))
    user = token.extra.get("user_info")
    if isinstance(user, Mapping):
        names = (*names, *map(user.get, _OTHER_IDS))
    return next(filter(None, map(text_of, names)), None)


def text_of(value: object) -> str | None:
    """Text of an id or token, which some markets send as a number; such as any store can keep."""
    if value is None or isinstance(value, (bool, dict, list)):
        return None
    text = str(value)
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    # observed: TaoWorld's short_code may be empty, which is none.
    return text.replace("\0", "").strip() or None


def _sellers(fields: Mapping[str, Any]) -> tuple[tuple[Seller, ...], set[str]]:
    """The sellers, and which lists of them hold nothing that :class:`Seller` has no place for."""
    country = text_of(fields.get("country"))
    listed: dict[Seller, None] = {}
    without_more = set()
    for name in _SELLER_LISTS:
        entries = list(_entries(fields[name])) if name in fields else []
        if all(str(field).lower() in _SELLER_NAMES for _, entry in entries for field in entry):
            without_more.add(name)
        listed = listed or dict.fromkeys(_seller(entry, key or country) for key, entry in entries)
    if not listed:
        # observed: TOP's id of a user, in a production answer.
        user = fields.get(_TOP_USER_ID)
        own = {name: user for name in _SELLER_FIELDS[:2] if user}
        own |= {name: fields[name] for name in _SELLER_FIELDS if text_of(fields.get(name))}
        listed = {_seller(own, country): None} if own else {}
    return tuple(listed), without_more


def _entries(listed: object) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """The entries of a list, of a mapping by country, or of a single object."""
    if isinstance(listed, list):
        for entry in listed:
            if isinstance(entry, Mapping):
                yield None, entry
    elif isinstance(listed, Mapping):  # so shown on Lazada's page of the endpoint
        if any(isinstance(entry, Mapping) for entry in listed.values()):
            for country, entry in listed.items():
                if isinstance(entry, Mapping):
                    yield country, entry
        elif listed:
            yield None, listed


def _seller(entry: Mapping[str, Any], country: str | None) -> Seller:
    fields = {str(name).lower(): text_of(value) for name, value in entry.items()}
    country = fields.get("country") or country
    return Seller(
        # observed: the document writes SG, production sg.
        country=country.lower() if country else None,
        **{name: fields.get(name) for name in _SELLER_FIELDS},
    )


def doubtful_lifetimes(token: Token) -> tuple[str, ...]:
    """The lifetimes that a token came with and that were not believed, as the answer names them.

    Where a lifetime makes no sense (years beyond five, zero or less for an access token, a word),
    the token's end is read from another field or unknown, and ``token.extra`` keeps the lifetime.

    Example::

        token = await iop.auth.create_token(client, code=code)
        assert iop.auth.doubtful_lifetimes(token) == ()
    """
    return tuple(sorted(_LIFETIMES & token.extra.keys()))


def _end(
    fields: Mapping[str, Any],
    sent_at: datetime,
    names: tuple[str, ...],
    moment: str,
    *,
    may_be_zero: bool = False,
) -> tuple[datetime | None, str]:
    """The end of a token, ``None`` where unknown, and the name of a lifetime not believed.

    Args:
        fields: the answer, its names in lower case.
        may_be_zero: a lifetime of nothing is the platform's word for "cannot be refreshed"; an
            access token was given to be used.
    """
    told = {name: _number(fields[name]) for name in names if fields.get(name) not in (None, "")}
    if may_be_zero and 0 in told.values():  # TaoWorld's guide, Lazada's
        return sent_at, ""
    name, lifetime = next(iter(told.items()), ("", None))
    if (at := _after(sent_at, lifetime)) is not None:
        return at, ""
    # assumed: some answer gives milliseconds, or a moment, under the name of a lifetime.
    at = (
        _at(sent_at, _number(fields.get(moment)))
        or _after(sent_at, None if lifetime is None else lifetime / 1000)
        or _at(sent_at, lifetime)
    )
    return at, name


def _after(sent_at: datetime, seconds: Decimal | None) -> datetime | None:
    if seconds is None or not 1 <= seconds <= _LONGEST_SECONDS:
        return None
    return sent_at + timedelta(milliseconds=int(seconds * 1000))


def _at(sent_at: datetime, moment: Decimal | None) -> datetime | None:
    """A moment in epoch milliseconds, or seconds, within sane bounds."""
    # observed: AliExpress and TOP give milliseconds; assumed: some answer gives seconds.
    for milliseconds in () if moment is None else (moment, moment * 1000):
        if 0 < milliseconds < _TOO_LATE:
            at = _EPOCH + timedelta(milliseconds=int(milliseconds))
            if timedelta(0) < at - sent_at <= _LONGEST:
                return at
    return None


def _number(value: object) -> Decimal | None:
    """A number sent as a number or as text; ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value)[:_LONGEST_NUMBER])
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _TOO_MANY_DIGITS else None
