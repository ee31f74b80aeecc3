"""Gateway error codes: one table per dialect gives a code its class and its advice.

A row is data; :func:`api_error` is the only reader. Codes are compared without regard to case
(the platform writes both ``InvalidAppkey`` and ``InvalidAppKey``). A key is a code, a sub code, the
family of a sub code (``isv``: the caller's mistake, ``isp``: the platform's), or both
(``50/isv``).
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
    access_token_rejected: bool = False


Codes: TypeAlias = Mapping[str, Rule]

UNKNOWN: Final = Rule(ApiError, "", may_have_been_applied=True)

_BAN = re.compile(r"ban will last (?:for )?(\d{1,9})(?: more)? seconds?", re.IGNORECASE)


def _codes(*rows: tuple[str, Rule]) -> Codes:
    return {code.lower(): rule for codes, rule in rows for code in codes.split("|")}


_WAIT = "Slow down: calls made during a ban only lengthen it"
_LATER = "The platform's side failed: try again later"
_REAUTHORIZE = "Ask the seller to authorize the app again"
_REJECTED = "Refresh the access token once; if it is refused again, authorize again"
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
        Rule(AuthError, _REJECTED, access_token_rejected=True),
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

_FIX = "Correct the call: the same one will fail again"
_FIX_SUB = "Correct what the sub code names: the same call will fail again"

TOP: Final = _codes(
    ("1|44|isp", Rule(ServiceError, _LATER, may_have_been_applied=True)),
    ("10", Rule(ServiceError, _LATER)),
    (
        "15|50|15/isp|50/isp",
        Rule(
            ServiceError,
            f"{_LATER}, unless the sub code names a mistake",
            may_have_been_applied=True,
        ),
    ),
    ("15/isv|50/isv|40|41|isv", Rule(ApiError, _FIX_SUB)),
    ("3|9|20|21|22|23|32|33|34|43|47", Rule(ApiError, _FIX)),
    ("2", Rule(PermissionDenied, f"The app is on the platform's blacklist. {_ASK}")),
    ("11|12|13|42|45", Rule(PermissionDenied, f"The app or user lacks a permission. {_ASK}")),
    ("28|29", Rule(PermissionDenied, "Check the app key")),
    (
        "24|25",
        Rule(
            SignatureError,
            "Compare the string to sign with the platform's published example: usual causes are "
            "a wrong secret, a parameter added after signing, text that is not UTF-8, and an HMAC "
            "wrapped in the secret like the MD5",
        ),
    ),
    ("30|31", Rule(ClockError, "Set this machine's clock: TOP tolerates 10 minutes, in GMT+8")),
    ("26", Rule(AuthError, "This API needs a seller: call it with as_seller(token)")),
    ("27", Rule(AuthError, _REJECTED, access_token_rejected=True)),
    ("53", Rule(AuthError, f"The session's security level is too low. {_REAUTHORIZE}")),
    (
        "invalid-sessionkey|session-expired|session-not-exist",
        Rule(AuthError, _REJECTED, access_token_rejected=True),
    ),
    ("4|5|6|7|8|isp.call-limited", Rule(Throttled, _WAIT)),
    ("accesscontrol.limited-by-api-access-count", Rule(Throttled, _WAIT)),
    ("accesscontrol.limited-by-app-api-access-count", Rule(Throttled, _WAIT)),
    ("accesscontrol.limited-by-dynamic-access-count", Rule(Throttled, _WAIT)),
    (
        "accesscontrol.limited-by-app-access-count",
        Rule(Throttled, "The app's calls of this day are used up, until 24:00 GMT+8"),
    ),
    (
        "isv.permission-api-package-limit|isv.permission-api-package-not-allowed",
        Rule(PermissionDenied, f"The app lacks this API. {_ASK}"),
    ),
    (
        "isv.insufficient-permission|isv.appkey not exists|isv.appkey invalid status",
        Rule(PermissionDenied, f"The app lacks a permission. {_ASK}"),
    ),
    (
        "isv.permission-ip-whitelist-limit",
        Rule(PermissionDenied, "Add this machine's address to the app's IP list"),
    ),
    (
        "isv.timestamp-limit-error|isv.replayattack-timestamp-invalid-error",
        Rule(ClockError, "Set this machine's clock: TOP tolerates 10 minutes, in GMT+8"),
    ),
    ("isv.account-migration-check-fail", Rule(AuthError, f"{_REAUTHORIZE}; it was not migrated")),
)

HTTP: Final = _codes(
    ("429", Rule(Throttled, _WAIT)),
    ("503", Rule(ServiceError, _LATER)),
)
"""Statuses that say enough by themselves when the answer holds no envelope."""


def _rule(codes: Codes, code: str, sub_code: str) -> Rule:
    family = sub_code.partition(".")[0]
    keys = (sub_code, f"{code}/{family}", code, family)
    return next((codes[key] for key in keys if key in codes), UNKNOWN)


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
    rule = _rule(codes, code.lower(), (sub_code or "").lower())
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
    if isinstance(error, AuthError):
        error.access_token_rejected = rule.access_token_rejected
    return error
