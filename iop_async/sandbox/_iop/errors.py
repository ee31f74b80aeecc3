"""IOP's error codes with their types and messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .._answers import Refusal, RenderedError

# 108138 gives the types two meanings; these are the ones that live answers and pages show.
_ISV, _ISP, _SYSTEM = "ISV", "ISP", "SYSTEM"

# observed: on the page of Lazada's token endpoint, with these quotation marks.
_MISSING = (
    "The input parameter \u201c{about}\u201d that is mandatory for processing this request "
    "is not supplied"
)

_ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "MissingParameter": (_ISV, _MISSING),
    "InvalidAppkey": (_ISV, "Invalid Appkey"),  # observed: AliExpress's page of /auth/token/create
    "IllegalTimestamp": (_ISV, "The timestamp is invalid or malformed"),  # observed: in production
    # observed: in production, on AliExpress; an older text says "lazop standards".
    "IncompleteSignature": (_ISV, "The request signature does not conform to platform standards"),
    # assumed: the code is in 108134, its text in no source.
    "AppWhiteIpLimit": (_ISV, "The caller's IP address is not in the app's IP whitelist"),
    # assumed: the code is in 108138, its text in no source.
    "InsufficientPermission": (_ISV, "The app has no permission to call this API"),
    # observed: in production, on AliExpress.
    "IllegalAccessToken": (_ISV, "The specified access token is invalid or expired"),
    # assumed: the text; 108138 has InvalidApi, and InvalidApiPath is observed of dotted names.
    "InvalidApi": (_ISV, "The specified API does not exist: {about}"),
    "InvalidApiPath": (_ISV, "The specified API does not exist: {about}"),
    # observed: in production, type included; AliExpress's page writes "Invalid Code".
    "InvalidCode": (_ISP, "Invalid authorization code"),
    # observed: on the page of Lazada's token endpoint, and by users of it.
    "IllegalRefreshToken": (_ISP, "The specified refresh token is invalid or expired"),
    # observed: on the page of Lazada's token endpoint.
    "AUTH_TYPE_UNSUPPORTED": (
        _ISP,
        "appkey can only be authorized by market, not support refresh",
    ),
    # assumed: the text; the code is in 108138.
    "ServiceTimeout": (_SYSTEM, "The request timed out at the service behind the gateway"),
    # observed: on AliExpress's page of /auth/token/create.
    "ServiceUnavailable": (_SYSTEM, "Service Unavailable"),
    "SystemError": (_SYSTEM, "System error"),  # assumed: the text
    "1000": (_SYSTEM, "Internal Application Error"),  # 108138
    # observed: on the pages of Lazada's APIs.
    "901": (_ISV, "Limit service request speed in server side temporarily."),
    "ApiCallLimit": (_ISV, "Api access frequency exceeds the limit."),  # observed: in production
    "SellerCallLimit": (_ISV, "Seller access frequency exceeds the limit."),  # assumed: the text
    "AppCallLimit": (_ISV, "App access frequency exceeds the limit."),  # assumed: the text
}


def render_error(refusal: Refusal) -> RenderedError:
    """A refusal in IOP's words."""
    # 108138: ISP is the service behind the gateway. assumed: so are codes that nobody lists.
    type_, text = _ERRORS.get(refusal.code, (_ISP, refusal.code))
    text = text.replace("{about}", refusal.about) if refusal.message is None else refusal.message
    if refusal.seconds is not None:
        # observed: IOP writes neither "for" nor "more", as TOP does.
        type_, text = _ISV, f"{text} this ban will last {refusal.seconds} seconds"
    return RenderedError(
        refusal.code,
        text,
        refusal.type or type_,
        refusal.sub_code,
        refusal.sub_message,
        refusal.string_to_sign,
    )
