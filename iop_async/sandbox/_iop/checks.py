"""IOP's checks before a call is let in, in the order in which the sandbox makes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Final

from ...signers import HMAC_MD5, HMAC_SHA256, string_to_sign
from .._parties import SandboxApp
from .._refusals import Refusal, missing

WINDOW: Final = timedelta(seconds=7200)
"""How far a timestamp may be off."""

_SIGNERS: Final = {signer.sign_method: signer for signer in (HMAC_SHA256, HMAC_MD5)}
_REQUIRED = ("app_key", "timestamp", "sign_method", "sign")
_MILLISECONDS = re.compile(r"\d{13}", re.ASCII).fullmatch
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII).fullmatch


def admit(
    apps: Mapping[str, SandboxApp], params: Mapping[str, str], prefix: str | None, wall: datetime
) -> SandboxApp:
    """The app that signed a call.

    Args:
        prefix: what is signed before the parameters; ``None`` where no signature can be right.
        wall: the date, to the gateway.

    Raises:
        Refusal: a system parameter is missing or wrong.
    """
    for name in _REQUIRED:
        if not params.get(name, "").strip():
            raise missing(name)
    app = apps.get(params["app_key"])
    if app is None:
        raise Refusal("InvalidAppkey")
    sent_at = _moment(params["timestamp"])
    if sent_at is None or abs(wall - sent_at) > WINDOW:
        raise Refusal("IllegalTimestamp")
    signer = _SIGNERS.get(params["sign_method"])
    is_right = (
        signer is not None
        and prefix is not None
        and compare_digest(
            signer.sign(app.secret, prefix, params).encode(), params["sign"].encode()
        )
    )
    if not is_right:
        signed = string_to_sign(prefix or "", params)
        raise Refusal("IncompleteSignature", string_to_sign=signed)
    return app


def _moment(timestamp: str) -> datetime | None:
    try:
        if _MILLISECONDS(timestamp):
            return datetime.fromtimestamp(int(timestamp) / 1000, UTC)
        if _ISO(timestamp):
            return datetime.fromisoformat(timestamp)
    except ValueError:
        pass
    return None
