"""What TOP says when it refuses: an integer code and its text, a finer code and its text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from .._refusals import Refusal, Said

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
class _Words:
    code: str
    sub_code: str | None = None
    sub_message: str | None = None


_WORDS: Final[Mapping[str, _Words]] = {
    "MissingParameter/method": _Words("21", None, "http传入的参数加入method字段"),
    "MissingParameter/sign": _Words("24"),
    "MissingParameter/app_key": _Words("28"),
    "MissingParameter/timestamp": _Words("30"),
    "MissingParameter/v": _Words("32"),
    "MissingParameter": _Words("40", "isv.missing-parameter"),
    "InvalidParameter": _Words("41", "isv.invalid-parameter"),
    "InvalidApi": _Words("22"),
    "InvalidFormat": _Words("23"),
    "InvalidAppkey": _Words("29", "isv.appkey-not-exists"),
    "IllegalTimestamp": _Words("31"),
    "InvalidVersion": _Words("33"),
    "UnsupportedVersion": _Words("34"),
    "InvalidEncoding": _Words("47"),
    "IncompleteSignature": _Words("25"),
    "AppWhiteIpLimit": _Words(
        "11", "isv.permission-ip-whitelist-limit", "The app may not call from the ip {about}"
    ),
    "IllegalAccessToken/missing": _Words("26"),
    "IllegalAccessToken/expired": _Words("27", "session-expired"),
    "IllegalAccessToken/revoked": _Words("27", "session-not-exist"),
    "IllegalAccessToken": _Words("27", "invalid-sessionkey", "SessionKey非法"),
    # TOP publishes no codes for its token APIs; 27 is the one that asks for a new authorization.
    "InvalidCode": _Words("27", None, "authorize code expire"),
    "IllegalRefreshToken": _Words("27", None, "refresh token is invalid or expired"),
    "AUTH_TYPE_UNSUPPORTED": _Words("27", None, "this app's sessions cannot be refreshed"),
    "ApiCallLimit/app": _Words("7", "accesscontrol.limited-by-app-api-access-count"),
    "ApiCallLimit": _Words("7", "accesscontrol.limited-by-api-access-count"),
    "AppCallLimit": _Words("7", "accesscontrol.limited-by-app-access-count"),
    "SellerCallLimit": _Words("5"),
    "ServiceTimeout": _Words("15", "isp.top-remote-connection-timeout"),
    "ServiceUnavailable": _Words("15", "isp.top-remote-service-unavailable"),
    "SystemError": _Words("15", "isp.top-remote-unknown-error"),
}


def say(refusal: Refusal) -> Said:
    """A refusal as TOP puts it.

    A reason that TOP has no words for is a sub code: of a ban, or of the service behind TOP.
    """
    words = _find(refusal)
    message = MESSAGES.get(words.code, MESSAGES["15"]).format(about=refusal.about)
    sub_message = words.sub_message and words.sub_message.format(about=refusal.about)
    if refusal.seconds is not None:
        sub_message = f"This ban will last for {refusal.seconds} more seconds"
    return Said(
        words.code,
        message if refusal.message is None else refusal.message,
        sub_code=refusal.sub_code or words.sub_code,
        sub_message=refusal.sub_message or sub_message,
        string_to_sign=refusal.string_to_sign,
    )


def _find(refusal: Refusal) -> _Words:
    for key in (f"{refusal.code}/{refusal.about}", refusal.code):
        if key in _WORDS:
            return _WORDS[key]
    if refusal.code.isdecimal():
        return _Words(refusal.code)
    return _Words("15" if refusal.seconds is None else "7", refusal.code)
