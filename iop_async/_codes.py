"""Error codes: what each of them means. A row is data; :mod:`._refusals` is the only reader.

Codes are compared without regard to case: the platform writes both ``InvalidAppkey`` and
``InvalidAppKey``. A key is a code (``50``), a sub code with a name (``isv.invalid-parameter``), the
family of either (a pattern there), a code with a family (``15/isv``) or with the namespace of the
API called (``2@aliexpress``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from attrs import frozen

from ._exceptions import (
    ApiError,
    AuthError,
    ClockError,
    PermissionDenied,
    Scope,
    ServiceError,
    SignatureError,
    Throttled,
)


@frozen
class Rule:
    """The meaning of a code: the class to raise, advice for a person, facts for a retry.

    Attributes:
        input_rejected: a parameter of the call was refused; of a refresh, that is its token.
        until_midnight: a quota of the day, in China's time.

    The other facts are those of :class:`~iop_async.ApiError` and :class:`~iop_async.AuthError`.
    """

    error: type[ApiError]
    advice: str
    may_have_been_applied: bool = False
    access_token_rejected: bool = False
    refresh_token_rejected: bool = False
    input_rejected: bool = False
    affects_every_seller: bool = False
    until_midnight: bool = False
    scope: Scope = "api"


Codes: TypeAlias = Mapping[str, Rule]

# assumed: a code that is in no table may come after the work was done.
UNKNOWN: Final = Rule(ApiError, "", may_have_been_applied=True)


def _codes(*rows: tuple[str, Rule]) -> dict[str, Rule]:
    return {code.lower(): rule for codes, rule in rows for code in codes.split("|")}


_WAIT = "Slow down: calls made during a ban only lengthen it"
_LATER = "The platform's side failed: try again later"
_REAUTHORIZE = "Ask the seller to authorize the app again"
_REJECTED = "Refresh the access token once; if it is refused again, authorize again"
_ASK = "Only the platform's console or support can change this"
_FIX = "Correct the call: the same one will fail again"
_FIX_SUB = "Correct what the sub code names: the same call will fail again"
_COMPARE = "Compare the string to sign with the platform's published example: usual causes are "
_GRANTS = "Ask for the API or permission group in the console"

NOTHING_SENT: Final = "No access token was sent: this API needs a seller, so use as_seller(token)"
"""The advice in place of a row's, where a token was refused that the call did not have."""
_LIMITED = Rule(Throttled, _WAIT)
_FAILED = Rule(ServiceError, _LATER, may_have_been_applied=True)
_ACCESS_REFUSED = Rule(AuthError, _REJECTED, access_token_rejected=True)
_REFRESH_REFUSED = Rule(
    AuthError,
    f"{_REAUTHORIZE}; a refused refresh token does not heal",
    refresh_token_rejected=True,
)


def _of_the_app(error: type[ApiError], advice: str) -> Rule:
    return Rule(error, advice, affects_every_seller=True, scope="app")


def _of_the_api(error: type[ApiError], advice: str) -> Rule:
    return Rule(error, advice, affects_every_seller=True)


_FAMILY_ROWS = _codes(
    # observed: limits of TOP's businesses name a minute, an hour or a day and no seconds.
    ("limit", _LIMITED),
    ("refresh-token", _REFRESH_REFUSED),
    ("access-token", _ACCESS_REFUSED),
    ("isp", _FAILED),  # DOC:102707: the platform's side, as isv is the caller's
    ("isv|15/isv|50/isv", Rule(ApiError, _FIX_SUB, input_rejected=True)),
    # observed: a business's own sub code says that the business refused, whatever its digits.
    (
        "15/business|50/business",
        Rule(
            ApiError,
            "The API's own code: look it up on that API's page; the same call will fail again",
            may_have_been_applied=True,
        ),
    ),
)

_SUB_CODES = _codes(
    # DOC:108426: the daily quota, given back at 24:00 GMT+8; observed: TOP's names of the limits.
    (
        "accesscontrol.limited-by-app-access-count",
        Rule(
            Throttled,
            "The app's calls of this day are used up, until 24:00 GMT+8",
            until_midnight=True,
            scope="app",
        ),
    ),
    ("accesscontrol.limited-by-api-access-count|isp.call-limited", _LIMITED),
    (
        "accesscontrol.limited-by-app-api-access-count",
        Rule(Throttled, f"{_WAIT}; this limit belongs to one API"),
    ),
    (
        "accesscontrol.limited-by-dynamic-access-count",
        Rule(Throttled, f"{_WAIT}; the platform sets this limit by its load"),
    ),
    # observed: sub codes of TOP's 26, 27 and 53.
    ("invalid-sessionkey|session-expired|session-not-exist", _ACCESS_REFUSED),
    # observed: the table of permissions in TOP's documents, all with code 11.
    (
        "isv.permission-api-package-limit|isv.permission-api-package-not-allowed",
        _of_the_api(PermissionDenied, f"The app lacks this API. {_GRANTS}"),
    ),
    # observed: AliExpress sends it with 15.
    (
        "isv.insufficient-permission",
        _of_the_api(PermissionDenied, f"The app lacks a permission. {_ASK}"),
    ),
    # assumed: constants of an old server, as are those of the time below.
    (
        "isv.appkey not exists|isv.appkey invalid status",
        _of_the_app(PermissionDenied, f"The app lacks a permission. {_ASK}"),
    ),
    (
        "isv.permission-ip-whitelist-limit",
        _of_the_app(PermissionDenied, "Add this machine's address to the app's IP list"),
    ),
    # assumed: constants of an old server; whether it still sends them is not known.
    (
        "isv.timestamp-limit-error|isv.replayattack-timestamp-invalid-error",
        _of_the_app(ClockError, "Set this machine's clock: TOP tolerates 10 minutes, in GMT+8"),
    ),
    # observed: AliExpress, after a seller's account was moved.
    (
        "isv.account-migration-check-fail",
        Rule(AuthError, f"{_REAUTHORIZE}; it was not migrated", input_rejected=True),
    ),
)

_NAMES = _codes(
    # observed: three names of a limit, the ban's seconds in the words.
    ("ApiCallLimit", Rule(Throttled, f"{_WAIT}; this limit belongs to one API")),
    (
        "SellerCallLimit",
        Rule(Throttled, f"{_WAIT}; this limit belongs to one seller", scope="seller"),
    ),
    ("AppCallLimit", Rule(Throttled, f"{_WAIT}; this limit belongs to the app", scope="app")),
    # observed: Lazada's pages of single APIs.
    ("OPEN_API_CALL_EXCEED_LIMIT|TRAFFIC_CONTROL", _LIMITED),
    ("BIZ_DEGRADATION_ERROR", Rule(ServiceError, "The API is switched off for now: try later")),
    (
        "DUPLICATE_REQUEST",
        Rule(
            ApiError,
            "The same request was made before: look at what came of that one",
            may_have_been_applied=True,
        ),
    ),
    # AliExpress's page of /auth/token/create lists this one; DOC:108138 tells of the others.
    ("ServiceUnavailable", Rule(ServiceError, f"{_LATER}, or contact its developers")),
    ("ServiceTimeout|rpc timeout|SystemError|UnknownRuntimeException", _FAILED),
    # observed: live answers, "The specified access token is invalid or expired".
    ("IllegalAccessToken|InvalidAccessToken", _ACCESS_REFUSED),
    # Lazada's page of /auth/token/refresh: "invalid or expired".
    ("IllegalRefreshToken", _REFRESH_REFUSED),
    # AliExpress's page of /auth/token/create, Lazada's of the refresh: "authorized by market".
    (
        "AUTH_TYPE_UNSUPPORTED",
        Rule(
            AuthError,
            "This kind of authorization cannot be refreshed (an app sold through the service "
            f"market, say); check the authorization type. {_REAUTHORIZE}",
            refresh_token_rejected=True,
        ),
    ),
    # AliExpress's page of /auth/token/create; the 30 minutes stand in the other markets' guides.
    (
        "InvalidCode",
        Rule(
            AuthError,
            "A code lives 30 minutes (AliExpress: 3), works once, only for the app it was issued "
            f"to, and not together with uuid. {_REAUTHORIZE}",
        ),
    ),
    # observed: live answers; the second name is a client's.
    (
        "IncompleteSignature|InvalidSignature",
        _of_the_app(
            SignatureError,
            f"{_COMPARE}a wrong secret, a path that differs by a slash, and a system API (a path) "
            "called by its dotted name",
        ),
    ),
    # 108069: 7200 seconds; observed: "The timestamp is invalid or malformed".
    (
        "IllegalTimestamp|OPEN_API_TIMESTAMP_INVALID",
        _of_the_app(ClockError, "Set this machine's clock: 7200 s are tolerated"),
    ),
    # 108138: platform errors.
    ("MissingParameter|MissingPartner", Rule(ApiError, "Supply the parameter it names")),
    ("InvalidParameter", Rule(ApiError, "Correct the parameter it names", input_rejected=True)),
    # AliExpress's page of /auth/token/create: InvalidAppkey; observed: InvalidAppKey.
    (
        "InvalidAppKey|APP_KEY_INVALID",
        _of_the_app(PermissionDenied, "Check the app key, and that the app belongs to this market"),
    ),
    # observed: an unknown dotted name is InvalidApiPath as well.
    ("InvalidApi|InvalidApiPath", _of_the_api(PermissionDenied, "Check the API's name and market")),
    ("AppNotSubscribed", _of_the_api(PermissionDenied, f"The app lacks this API. {_GRANTS}")),
    (
        "InsufficientPermission",
        _of_the_api(PermissionDenied, f"The app lacks this permission group. {_GRANTS}"),
    ),
    # 108134; observed: live on AliExpress and Lazada.
    (
        "AppWhiteIpLimit",
        _of_the_app(PermissionDenied, "Add this machine's address to the app's IP list"),
    ),
    # observed: "Seller not verified,please check seller status".
    (
        "SellerNotActive|SellerNotVerified",
        Rule(PermissionDenied, "The seller's account must be active and verified"),
    ),
)

_PATH_NUMBERS = _codes(
    # observed: Lazada's pages of single APIs; 901 also "the functionality is disabled".
    ("901", Rule(Throttled, "The API's limit per second was reached; wait a second")),
    ("998", Rule(Throttled, "The API is downgraded during a campaign; try again much later")),
    # observed: "Internal Application Error", "sentinel", "get product failed", E006, E021. What
    # 513 says is assumed, and AliExpress answers 15 by path as well.
    ("1000|1002|506|6|21|513|15", _FAILED),
    # 121320: generic codes, the business's own stands beside them.
    ("500|501", Rule(ApiError, "The business refused; its reasons are in body['detail']")),
)

# DOC:102707, DOC:101645: TOP's list. observed: AliExpress's /sync answers with these numbers.
_TOP_NUMBERS = _codes(
    ("1|44", _FAILED),
    ("10", Rule(ServiceError, _LATER)),
    (
        "15|50|15/isp|50/isp",
        Rule(
            ServiceError,
            f"{_LATER}, unless the sub code names a mistake",
            may_have_been_applied=True,
        ),
    ),
    ("40", Rule(ApiError, _FIX_SUB)),
    ("41", Rule(ApiError, _FIX_SUB, input_rejected=True)),
    ("3|20|43|47", Rule(ApiError, _FIX)),
    ("9|21|22|23|32|33|34", _of_the_api(ApiError, _FIX)),
    # observed: TOP switched AliExpress's APIs off and answers "TOP has been offline".
    (
        "2@aliexpress",
        _of_the_api(
            PermissionDenied,
            "TOP no longer serves AliExpress: call gateways.ALIEXPRESS, with an app of its console",
        ),
    ),
    ("2", _of_the_app(PermissionDenied, f"The app is on the platform's blacklist. {_ASK}")),
    ("11|13|42|45", _of_the_api(PermissionDenied, f"The app lacks a permission. {_ASK}")),
    ("12", Rule(PermissionDenied, f"The user lacks a permission. {_ASK}")),
    ("28|29", _of_the_app(PermissionDenied, "Check the app key")),
    (
        "24|25",
        _of_the_app(
            SignatureError,
            f"{_COMPARE}a wrong secret, a parameter added after signing, text that is not UTF-8, "
            "and an HMAC wrapped in the secret like the MD5",
        ),
    ),
    (
        "30|31",
        _of_the_app(ClockError, "Set this machine's clock: TOP tolerates 10 minutes, in GMT+8"),
    ),
    # DOC:102707: 26 is a missing session, 27 an invalid one.
    ("26", Rule(AuthError, "This API needs a seller: call it with as_seller(token)")),
    ("27", _ACCESS_REFUSED),
    ("53", Rule(AuthError, f"The session's security level is too low. {_REAUTHORIZE}")),
    # DOC:102707: user, session, partner, app; which API's limit it is the sub code says.
    ("4|5", Rule(Throttled, _WAIT, scope="seller")),
    ("6|7", Rule(Throttled, _WAIT, scope="app")),
    ("8", _LIMITED),
)

_SHARED = _FAMILY_ROWS | _SUB_CODES | _NAMES

IOP: Final[Codes] = _SHARED | _PATH_NUMBERS
"""Codes of an API that is called by its path."""

TOP: Final[Codes] = _SHARED | _PATH_NUMBERS | _TOP_NUMBERS
"""Codes of an API that is called by its dotted name: TOP, and AliExpress's ``/sync``."""

# observed: a client in production meets 429 without an envelope; of the others it is assumed, by
# what HTTP says of them.
HTTP: Final = _codes(
    ("408", _FAILED),
    # RFC 8470, 5.2: too early to risk that it is replayed, so it was not processed.
    ("425", Rule(ServiceError, _LATER)),
    ("429", _LIMITED),
    ("503", Rule(ServiceError, _LATER)),
    ("5xx", _FAILED),
)
"""Statuses that say enough where an answer has no code (a number), or an unknown one."""

# observed: AliExpress's product search fails so for minutes, and then succeeds unchanged.
PASSING_FAILURES: Final = frozenset({"ngselection_search_error"})
"""Codes of a business failure that passes by itself."""
