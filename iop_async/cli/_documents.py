"""Tokens and times as JSON has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import asdict

from .._models import Token
from .._redact import MASK, redact_tree


def iso(moment: datetime | None) -> str | None:
    """A time as text: ISO 8601, UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def token_document(token: Token, *, reveal: bool) -> dict[str, Any]:
    """All of a token but its ends, its secrets masked unless they are asked for."""
    document = {
        "access_token": token.access_token,
        "refresh_token": token.refresh_token,
        "issued_at": iso(token.issued_at),
        "account": token.account,
        "account_id": token.account_id,
        "account_platform": token.account_platform,
        "country": token.country,
        "sellers": [asdict(seller) for seller in token.sellers],
        "extra": dict(token.extra),
    }
    if reveal:
        return document
    secrets = [text for text in (token.access_token, token.refresh_token) if text]
    masked: dict[str, Any] = redact_tree(document, secrets)
    return {**masked, "access_token": MASK, "refresh_token": token.refresh_token and MASK}
