"""Gateway error codes: one table per dialect gives a code its class and its advice.

A row is data; :func:`api_error` is the only reader. Codes are compared without regard to case
(the platform writes both ``InvalidAppkey`` and ``InvalidAppKey``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from attrs import frozen

from ._exceptions import (
    ApiError,
    AuthError,
    ClockError,
    PermissionDenied,
    ServiceError,
    SignatureError,
    Throttled,
)
from ._redact import redact


@frozen
class Rule:
    """What a code means: the class to raise and what a person should do."""

    error: type[ApiError]
    advice: str
    may_have_been_applied: bool = False


Codes: TypeAlias = Mapping[str, Rule]

UNKNOWN: Final = Rule(ApiError, "", may_have_been_applied=True)

_BAN = re.compile(r"ban will last (?:for )?(\d{1,9})(?: more)? seconds?", re.IGNORECASE)


def _codes(*rows: tuple[str, Rule]) -> Codes:
    return {code.lower(): rule for codes, rule in rows for code in codes.split("|")}


_WAIT = "Slow down: calls made during a ban only lengthen it"
_LATER = "The platform's side failed: try again later"
_REAUTHORIZE = "Ask the seller to authorize the app again"
_ASK = "Only the platform's console or support can change this"

IOP: Final = _codes(
    ("ApiCallLimit", Rule(Throttled, f"{_WAIT}; this limit belongs to one API")),
    ("SellerCallLimit", Rule(Throttled, f"{_WAIT}; this limit belongs to one seller")),
    ("AppCallLimit", Rule(Throttled, f"{_WAIT}; this limit belongs to the app")),
    ("901|E901", Rule(Throttled, "The API's limit per second was reached; wait a second")),
    ("998", Rule(Throttled, "The API is downgraded during a campaign; try again much later")),
    ("ServiceUnavailable", Rule(ServiceError, f"{_LATER}, or contact its developers")),
    (
        "ServiceTimeout|rpc timeout|1000|1002|506|SystemError|UnknownRuntimeException|15",
        Rule(ServiceError, _LATER, may_have_been_applied=True),
    ),
    (
        "500|501",
        Rule(ApiError, "The business refused; its reasons are in body['detail']"),
    ),
    (
        "IllegalAccessToken|InvalidAccessToken",
        Rule(AuthError, "Refresh the access token once; if it is refused again, authorize again"),
    ),
    (
        "IllegalRefreshToken",
        Rule(AuthError, f"{_REAUTHORIZE}; a refused refresh token does not heal"),
    ),
    (
        "AUTH_TYPE_UNSUPPORTED",
        Rule(
            AuthError,
            "This kind of authorization cannot be refreshed (an app sold through the service "
            f"market, say); check the authorization type. {_REAUTHORIZE}",
        ),
    ),
    (
        "InvalidCode",
        Rule(
            AuthError,
            "A code lives 30 minutes (AliExpress: 3), works once, only for the app it was issued "
            f"to, and not together with uuid. {_REAUTHORIZE}",
        ),
    ),
    ("isv.account-migration-check-fail", Rule(AuthError, f"{_REAUTHORIZE}; it was not migrated")),
    (
        "IncompleteSignature",
        Rule(
            SignatureError,
            "Compare the string to sign with the platform's published example: usual causes are "
            "a wrong secret, a path that differs by a slash, and a system API (a path) called "
            "by its dotted name",
        ),
    ),
    ("IllegalTimestamp", Rule(ClockError, "Set this machine's clock: 7200 s are tolerated")),
    ("MissingParameter|MissingPartner", Rule(ApiError, "Supply the parameter it names")),
    ("InvalidParameter", Rule(ApiError, "Correct the parameter it names")),
    (
        "InvalidAppKey",
        Rule(PermissionDenied, "Check the app key, and that the app belongs to this market"),
    ),
    ("InvalidApi|InvalidApiPath", Rule(PermissionDenied, "Check the API's name and market")),
    ("AppNotSubscribed", Rule(PermissionDenied, f"The app lacks this API. {_ASK}")),
    (
        "InsufficientPermission|isv.insufficient-permission",
        Rule(PermissionDenied, f"The app lacks this permission group. {_ASK}"),
    ),
    ("AppWhiteIpLimit", Rule(PermissionDenied, "Add this machine's address to the app's IP list")),
    (
        "SellerNotActive|SellerNotVerified",
        Rule(PermissionDenied, "The seller's account must be active and verified"),
    ),
)

HTTP: Final = _codes(
    ("429", Rule(Throttled, _WAIT)),
    ("503", Rule(ServiceError, _LATER)),
)
"""Statuses that say enough by themselves when the answer holds no envelope."""


def api_error(
    codes: Codes,
    code: str,
    message: str,
    *,
    sub_code: str | None = None,
    sub_message: str | None = None,
    type: str | None = None,
    request_id: str | None = None,
    body: Any = None,
    retry_after: float | None = None,
    secrets: Iterable[str] = (),
) -> ApiError:
    """The error for an answer, most specific code first, any ban in its text read as seconds."""
    rule = codes.get((sub_code or "").lower()) or codes.get(code.lower()) or UNKNOWN
    words = "; ".join(filter(None, (message, sub_message)))
    if ban := _BAN.search(words):
        retry_after = float(ban[1])
    error = rule.error(
        code,
        redact(words, secrets),
        sub_code=sub_code,
        type=type,
        request_id=request_id,
        body=body,
        advice=rule.advice,
        retry_after=retry_after,
    )
    error.may_have_been_applied = rule.may_have_been_applied
    return error
