"""TOP's checks before a call is let in.

No page says in which order they come. Here it is that of their codes, 21 to 34, and the signature
last: it takes the app's secret, so the app must be known first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from hmac import compare_digest
from typing import Final

from ...protocols import Signer
from ...signers import HMAC_MD5, TOP_HMAC_SHA256, TOP_MD5, string_to_sign
from .._parties import SandboxApp
from .._refusals import Refusal, missing
from .._wire import Incoming

WINDOW: Final = timedelta(minutes=10)
"""How far a timestamp may be off."""

CHINA: Final = timezone(timedelta(hours=8))
"""The zone of every time that TOP reads or writes."""

FORMATS: Final = ("xml", "json")

_SIGNERS: Final[Mapping[str, Signer]] = {
    signer.sign_method: signer for signer in (TOP_MD5, HMAC_MD5, TOP_HMAC_SHA256)
}
_is_version = re.compile(r"\d+\.\d+", re.ASCII).fullmatch
_is_milliseconds = re.compile(r"\d{13}", re.ASCII).fullmatch
_is_china_time = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII).fullmatch


def admit(apps: Mapping[str, SandboxApp], request: Incoming, wall: datetime) -> SandboxApp:
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
    sent_at = _moment(params["timestamp"])
    if sent_at is None or abs(wall - sent_at) > WINDOW:
        raise Refusal("IllegalTimestamp")
    _require(params, "v")
    if params["v"] != "2.0":
        raise Refusal("UnsupportedVersion" if _is_version(params["v"]) else "InvalidVersion")
    _check_signature(app, request)
    return app


def _require(params: Mapping[str, str], name: str) -> None:
    if not params.get(name, "").strip():
        raise missing(name)


def _check_signature(app: SandboxApp, request: Incoming) -> None:
    """A raw body is signed as it is, after the parameters; md5 is what older clients mean."""
    try:
        body = request.body.decode()
    except UnicodeDecodeError:
        raise Refusal("InvalidEncoding") from None
    signed = string_to_sign("", request.params) + body
    signer = _SIGNERS.get(request.params.get("sign_method", "md5"))
    given = request.params["sign"].encode()
    if signer is None or not compare_digest(signer.sign(app.secret, signed, {}).encode(), given):
        raise Refusal("IncompleteSignature", string_to_sign=signed)


def _moment(timestamp: str) -> datetime | None:
    try:
        if _is_milliseconds(timestamp):
            return datetime.fromtimestamp(int(timestamp) / 1000, UTC)
        if _is_china_time(timestamp):
            return datetime.fromisoformat(timestamp).replace(tzinfo=CHINA)
    except ValueError:
        pass
    return None
