"""TOP's error codes: an integer with its message, and a sub code with its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from .._answers import Refusal, RenderedError

# DOC:102707; 7 is written as a production log has it.
MESSAGES: Final[Mapping[str, str]] = {
    "1": "Platform System error",
    "2": "App in blacklist",
    "3": "Upload fail",
    "4": "User call limited",
    "5": "Session call limited",
    "6": "Partner call limited",
    "7": "App Call Limited",
    "8": "Frequency exceeded",
    "9": "Http action not allowed",
    "10": "Service currently unavailable",
    "11": "Insufficient isv permissions",
    "12": "Insufficient user permissions",
    "13": "Insufficient partner permissions",
    "15": "Remote service error",
    "21": "Missing method",
    "22": "Invalid method",
    "23": "Invalid format",
    "24": "Missing signature",
    "25": "Invalid signature",
    "26": "Missing session",
    "27": "Invalid session",
    "28": "Missing app key",
    "29": "Invalid app Key",
    "30": "Missing timestamp",
    "31": "Invalid timestamp",
    "32": "Missing version",
    "33": "Invalid version",
    "34": "Unsupported version",
    "40": "Missing required arguments:{about}",
    "41": "Invalid arguments:{about}",
    "42": "Forbidden request",
    "43": "Parameter error",
    "44": "isp error",
    "45": "Forbidden version",
    "47": "Invalid encoding",
    "50": "Remote service error",
    "53": "Insufficient session security level",
}


@frozen
class _ErrorText:
    code: str
    sub_code: str | None = None
    sub_message: str | None = None


_ERRORS: Final[Mapping[str, _ErrorText]] = {
    # assumed: the sentence; sub codes of parameters are in DOC:102707.
    "MissingParameter/method": _ErrorText("21", None, "http传入的参数加入method字段"),
    "MissingParameter/sign": _ErrorText("24"),
    "MissingParameter/app_key": _ErrorText("28"),
    "MissingParameter/timestamp": _ErrorText("30"),
    "MissingParameter/v": _ErrorText("32"),
    "MissingParameter": _ErrorText("40", "isv.missing-parameter"),
    "InvalidParameter": _ErrorText("41", "isv.invalid-parameter"),
    "InvalidApi": _ErrorText("22", None, "{about}"),
    "InvalidApiPath": _ErrorText("22", None, "{about}"),
    "InvalidFormat": _ErrorText("23"),
    "InvalidAppkey": _ErrorText("29", "isv.appkey-not-exists"),
    "IllegalTimestamp": _ErrorText("31"),
    "InvalidVersion": _ErrorText("33"),
    "UnsupportedVersion": _ErrorText("34"),
    "InvalidEncoding": _ErrorText("47"),
    "IncompleteSignature": _ErrorText("25"),
    # observed: both sub codes of 11, in copies of the table; assumed: the words.
    "AppWhiteIpLimit": _ErrorText(
        "11", "isv.permission-ip-whitelist-limit", "The app may not call from the ip {about}"
    ),
    "InsufficientPermission": _ErrorText("11", "isv.permission-api-package-limit"),
    # observed: these sub codes go with 26 and 27; assumed: which of them goes with which reason.
    "IllegalAccessToken/missing": _ErrorText("26"),
    "IllegalAccessToken/expired": _ErrorText("27", "session-expired"),
    "IllegalAccessToken/revoked": _ErrorText("27", "session-not-exist"),
    "IllegalAccessToken": _ErrorText("27", "invalid-sessionkey", "SessionKey非法"),
    # assumed: TOP publishes no codes for its token APIs; 27 asks for a new authorization.
    "InvalidCode": _ErrorText("27", None, "authorize code expire"),
    "IllegalRefreshToken": _ErrorText("27", None, "refresh token is invalid or expired"),
    "AUTH_TYPE_UNSUPPORTED": _ErrorText("27", None, "this app's sessions cannot be refreshed"),
    # observed: sub codes of bans, in logs and clients; DOC:108426 has the daily one.
    "ApiCallLimit/app": _ErrorText("7", "accesscontrol.limited-by-app-api-access-count"),
    "ApiCallLimit": _ErrorText("7", "accesscontrol.limited-by-api-access-count"),
    "AppCallLimit": _ErrorText("7", "accesscontrol.limited-by-app-access-count"),
    "SellerCallLimit": _ErrorText("5"),
    # observed: sub codes that a client in use repeats a call for.
    "ServiceTimeout": _ErrorText("15", "isp.top-remote-connection-timeout"),
    "ServiceUnavailable": _ErrorText("15", "isp.top-remote-service-unavailable"),
    "SystemError": _ErrorText("15", "isp.top-remote-unknown-error"),
}


def render_error(refusal: Refusal) -> RenderedError:
    """A refusal as TOP puts it.

    A reason that TOP has no words for is a sub code: of a ban, or of the service behind TOP.
    """
    words = _find(refusal)
    message = MESSAGES.get(words.code, MESSAGES["15"]).format(about=refusal.about)
    sub_message = words.sub_message and words.sub_message.format(about=refusal.about)
    if refusal.seconds is not None:
        # observed: TOP writes "for" and "more", which IOP does not.
        sub_message = f"This ban will last for {refusal.seconds} more seconds"
    return RenderedError(
        words.code,
        message if refusal.message is None else refusal.message,
        sub_code=refusal.sub_code or words.sub_code,
        sub_message=refusal.sub_message or sub_message,
        string_to_sign=refusal.string_to_sign,
    )


def _find(refusal: Refusal) -> _ErrorText:
    for key in (f"{refusal.code}/{refusal.about}", refusal.code):
        if key in _ERRORS:
            return _ERRORS[key]
    if refusal.code.isdecimal():
        return _ErrorText(refusal.code)
    return _ErrorText("15" if refusal.seconds is None else "7", refusal.code)
