"""What an IOP gateway says when it refuses: code, type and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .._refusals import Refusal, Said

_MISSING = (
    "The input parameter \u201c{about}\u201d that is mandatory for processing this request "
    "is not supplied"
)

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "MissingParameter": ("ISV", _MISSING),
    "InvalidAppkey": ("ISV", "Invalid Appkey"),
    "IllegalTimestamp": ("ISV", "The specified timestamp is invalid or expired"),
    "IncompleteSignature": (
        "ISV",
        "The request signature does not conform to platform standards",
    ),
    "AppWhiteIpLimit": ("ISV", "The caller's IP address is not in the app's IP whitelist"),
    "IllegalAccessToken": ("ISV", "The specified access token is invalid or expired"),
    "InvalidApi": ("ISV", "The specified API does not exist"),
    "InvalidCode": ("ISP", "Invalid authorization code"),
    "IllegalRefreshToken": ("ISP", "The specified refresh token is invalid or expired"),
    "AUTH_TYPE_UNSUPPORTED": (
        "ISP",
        "appkey can only be authorized by market, not support refresh",
    ),
    "ServiceTimeout": ("SYSTEM", "The request timed out at the service behind the gateway"),
    "ServiceUnavailable": ("SYSTEM", "Service Unavailable"),
    "SystemError": ("SYSTEM", "System error"),
    "1000": ("SYSTEM", "Internal Application Error"),
    "901": ("ISV", "Limit service request speed in server side temporarily."),
    "ApiCallLimit": ("ISV", "Api access frequency exceeds the limit."),
    "SellerCallLimit": ("ISV", "Seller access frequency exceeds the limit."),
    "AppCallLimit": ("ISV", "App access frequency exceeds the limit."),
}


def say(refusal: Refusal) -> Said:
    """A refusal as IOP puts it."""
    type_, text = _WORDS.get(refusal.code, ("ISP", refusal.code))
    if refusal.message is not None:
        text = refusal.message
    elif refusal.code == "MissingParameter":
        text = text.format(about=refusal.about)
    if refusal.seconds is not None:
        type_, text = "ISV", f"{text} this ban will last {refusal.seconds} seconds"
    return Said(
        refusal.code,
        text,
        refusal.type or type_,
        refusal.sub_code,
        refusal.sub_message,
        refusal.string_to_sign,
    )
