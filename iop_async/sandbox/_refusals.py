"""What a gateway says when it refuses: code, type and text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
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


class Refusal(Exception):
    """The gateway, or the business behind it, refuses a call.

    Args:
        code: an IOP code; a dialect with other codes translates it.
        message: the documented or observed text of the code by default.
        type: ``ISV``, ``ISP`` or ``SYSTEM``.
        string_to_sign: what the sandbox signed, for a wrong signature.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        type: str | None = None,
        string_to_sign: str | None = None,
    ) -> None:
        known_type, known_message = _REFUSALS.get(code, ("ISP", code))
        self.code: str = code
        self.message: str = known_message if message is None else message
        self.type: str = type or known_type
        self.string_to_sign: str | None = string_to_sign
        super().__init__(code, self.message)


def missing(name: str) -> Refusal:
    """The refusal of a call that lacks a parameter."""
    message = (
        f"The input parameter \u201c{name}\u201d that is mandatory for processing this request "
        "is not supplied"
    )
    return Refusal("MissingParameter", message, type="ISV")


def banned(code: str, seconds: int) -> Refusal:
    """The refusal of a call during a ban that has ``seconds`` left."""
    text = Refusal(code).message
    return Refusal(code, f"{text} this ban will last {seconds} seconds", type="ISV")
