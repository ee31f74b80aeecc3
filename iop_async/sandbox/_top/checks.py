"""TOP's checks before a call is let in.

assumed: they come in the order of their codes, 21 to 34 (DOC:102707), and the signature last. It
takes the app's secret, so the app must be known first; no page tells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final

from ...protocols import Signer
from ...signers import HMAC_MD5, TOP_HMAC_SHA256, TOP_MD5, string_to_sign
from .._answers import Refusal, missing
from .._clock import china_time, milliseconds
from .._parties import SandboxApp
from .._signatures import find_mistake
from .._wire import GatewayRequest

WINDOW: Final = timedelta(minutes=10)
# DOC:101617: ten minutes.

# observed: XML is what comes where no format is asked for, as the parameter tables say.
FORMATS: Final = ("xml", "json")

# DOC:101617: its three sign methods.
_SIGNERS: Final[Mapping[str, Signer]] = {
    signer.sign_method: signer for signer in (TOP_MD5, HMAC_MD5, TOP_HMAC_SHA256)
}
_is_version = re.compile(r"\d+\.\d+", re.ASCII).fullmatch


def admit(apps: Mapping[str, SandboxApp], request: GatewayRequest, wall: datetime) -> SandboxApp:
    """The app that signed a request, once its method is known to be one.

    Args:
        wall: the date, to the gateway.

    Raises:
        Refusal: a system parameter is missing or wrong.
    """
    params = request.params
    if params.get("format", "xml") not in FORMATS:
        raise Refusal("InvalidFormat")
    _require(params, "sign")
    _require(params, "app_key")
    app = apps.get(params["app_key"])
    if app is None:
        raise Refusal("InvalidAppkey")
    _require(params, "timestamp")
    # DOC:101617: the time of China. observed: an official SDK sends milliseconds, and is served.
    sent_at = china_time(params["timestamp"]) or milliseconds(params["timestamp"])
    if sent_at is None or abs(wall - sent_at) > WINDOW:
        raise Refusal("IllegalTimestamp")
    _require(params, "v")
    if params["v"] != "2.0":  # DOC:101617
        raise Refusal("UnsupportedVersion" if _is_version(params["v"]) else "InvalidVersion")
    _check_signature(app, request)
    return app


def _require(params: Mapping[str, str], name: str) -> None:
    if not params.get(name, "").strip():
        raise missing(name)


def _check_signature(app: SandboxApp, request: GatewayRequest) -> None:
    """Check the signature over parameters and raw body."""
    # observed: the official Java SDK signs a raw body as it is, after the parameters.
    try:
        body = request.body.decode()
    except UnicodeDecodeError:
        raise Refusal("InvalidEncoding") from None
    signed = string_to_sign("", request.params) + body
    # assumed: md5 without a sign_method; it is the default of older SDKs.
    signer = _SIGNERS.get(request.params.get("sign_method", "md5"))
    given = request.params["sign"].encode()
    if signer is None or not compare_digest(signer.sign(app.secret, signed, {}).encode(), given):
        mistake = find_mistake(app.secret, signer, _SIGNERS.values(), "", request.params)
        raise Refusal("IncompleteSignature", string_to_sign=signed, mistake=mistake)
