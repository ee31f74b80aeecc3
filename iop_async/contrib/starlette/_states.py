"""The state of an authorization: signed, expiring, and good in one browser alone."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from secrets import token_bytes, token_urlsafe
from typing import Final

from attrs import frozen

from ..._redact import Secret

_NONCE: Final = 16
_MOMENT: Final = 8
_MAC: Final = 32

MIN_SECRET: Final = 16
"""Characters of a secret that nobody guesses."""


class StateRefused(Exception):
    """A state is not to be believed; the argument says why: ``foreign`` or ``expired``."""


@frozen
class State:
    """A state that was given out here.

    Attributes:
        nonce: tells it from all others.
        expires_at: it is good until then (aware UTC).
    """

    nonce: str
    expires_at: datetime


class States:
    """Gives out states, and knows them again. It keeps none: what it signs is what it needs.

    Args:
        secret: the same in every process that answers for one address.
        purpose: what else must be equal, such as the app: a state is good for nothing else.
        seconds: how long a seller may take on the platform's pages.
    """

    def __init__(self, secret: str, *, purpose: str, seconds: float) -> None:
        self._key = Secret(
            hmac.digest(secret.encode(), b"iop_async state 1\0" + purpose.encode(), "sha256").hex()
        )
        self._seconds = seconds

    def give(self, browser: str, now: datetime) -> str:
        """A state for the browser that has this in its cookie."""
        expires_at = now + timedelta(seconds=self._seconds)
        stated = token_bytes(_NONCE) + int(expires_at.timestamp()).to_bytes(_MOMENT)
        return urlsafe_b64encode(stated + self._mac(stated, browser)).rstrip(b"=").decode()

    def read(self, state: str, browser: str, now: datetime) -> State:
        """The state that was given to this browser.

        Raises:
            StateRefused: ``foreign``: it was given to another browser, or not here; ``expired``.
        """
        try:
            content = urlsafe_b64decode(state.encode("ascii") + b"=" * (-len(state) % 4))
        except ValueError:
            content = b""
        stated, mac = content[: _NONCE + _MOMENT], content[_NONCE + _MOMENT :]
        if not browser or not hmac.compare_digest(self._mac(stated, browser), mac):
            raise StateRefused("foreign")
        expires_at = datetime.fromtimestamp(int.from_bytes(stated[_NONCE:]), UTC)
        if now >= expires_at:
            raise StateRefused("expired")
        return State(stated[:_NONCE].hex(), expires_at)

    def _mac(self, stated: bytes, browser: str) -> bytes:
        text = stated + browser.encode("utf-8", "replace")  # the length of the former is fixed
        return hmac.digest(self._key.encode(), text, "sha256")


def new_browser() -> str:
    """What a browser gets into its cookie, for its states to be told from those of others."""
    return token_urlsafe(_MAC)


def require_state_secret(secret: object) -> str:
    """Raises ``TypeError`` or ``ValueError`` for a secret that is none."""
    if not isinstance(secret, str):
        msg = f"secret is of type {type(secret).__name__}; give text that nobody can guess"
        raise TypeError(msg)
    if len(secret.strip()) < MIN_SECRET:
        msg = (
            f"secret has fewer than {MIN_SECRET} characters; make one with secrets.token_urlsafe(),"
            " and give the same to every process"
        )
        raise ValueError(msg)
    return Secret(secret)
