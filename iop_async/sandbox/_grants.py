"""Codes and tokens: issued, traded, rotated and revoked."""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from attrs import define, field, frozen

from ._answers import Refusal
from ._clock import Clock
from ._parties import SandboxApp

Rotation: TypeAlias = Literal["single_use", "keep"]
OldAccessToken: TypeAlias = Literal["dies", "stays"]

ROTATIONS: Final = ("single_use", "keep")
OLD_ACCESS_TOKENS: Final = ("dies", "stays")
_DIES = OLD_ACCESS_TOKENS[0]


def digest(token: str) -> str:
    """A name for a token that gives nothing away.

    Example::

        from iop_async.sandbox import digest

        await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
        assert len(sandbox.ledger.presented(digest(token.refresh_token))) == 1
    """
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()[:16]


def _random(length: int) -> str:
    return base64.b64encode(os.urandom(length), altchars=b"xY").decode()[:length]


@define(eq=False)
class Pair:
    """An access token and its refresh token.

    ``generation`` counts the pairs that one seller gave one app, re-authorizations included.
    ``refresh_until`` is the horizon of the authorization: a refresh does not move it.

    Example::

        pair = sandbox.grants.live_pair(app.key, "1001")
        assert pair.access_token == token.access_token
    """

    app: str
    seller_id: str
    generation: int
    issued_at: datetime
    access_until: datetime
    refresh_until: datetime
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    access_live: bool = True
    refresh_live: bool = True


@frozen
class _Code:
    app: str
    seller_id: str
    until: datetime


@define
class Grants:
    """Every code and pair there is, and which pair of a seller is live.

    Args:
        clock: by which codes and tokens age.
        code_form: how a code looks, with ``{key}`` and ``{random}``.
        code_seconds, access_seconds, refresh_seconds: lifetimes.
        rotation: ``single_use``: a refresh token dies when it is traded, and when the seller
            authorizes again; ``keep``: it stays valid up to its horizon.
        old_access_token: the access token that goes with it ``dies`` too, or ``stays``.
    """

    clock: Clock
    code_form: str
    code_seconds: float
    access_seconds: float
    refresh_seconds: float
    rotation: Rotation
    old_access_token: OldAccessToken
    _codes: dict[str, _Code] = field(factory=dict, init=False, repr=False)
    _by_access: dict[str, Pair] = field(factory=dict, init=False, repr=False)
    _by_refresh: dict[str, Pair] = field(factory=dict, init=False, repr=False)
    _live: dict[tuple[str, str], Pair] = field(factory=dict, init=False, repr=False)
    _generations: dict[tuple[str, str], int] = field(factory=dict, init=False, repr=False)

    def issue_code(self, app: SandboxApp, seller_id: str) -> str:
        """A code as it comes to the app's callback when the seller approves."""
        code = self.code_form.format(key=app.key, random=_random(25))
        until = self.clock.now() + timedelta(seconds=self.code_seconds)
        self._codes[code] = _Code(app.key, seller_id, until)
        return code

    def redeem(self, app: SandboxApp, code: str) -> Pair:
        """Trade a code for a pair. Raises :class:`Refusal`; the code then is as good as before."""
        known = self._codes.get(code)
        if known is None or known.app != app.key or self.clock.now() >= known.until:
            raise Refusal("InvalidCode")
        del self._codes[code]  # observed: the pages of all markets call a code single-use
        return self.authorize(app, known.seller_id)

    def authorize(self, app: SandboxApp, seller_id: str) -> Pair:
        """A first pair, or one that replaces those of an earlier authorization."""
        self._retire(self._live.get((app.key, seller_id)))
        now = self.clock.now()
        seconds = self.refresh_seconds if app.refreshable else 0
        return self._issue(app.key, seller_id, now, now + timedelta(seconds=seconds))

    def refresh(self, app: SandboxApp, refresh_token: str) -> Pair:
        """Trade a refresh token for the next pair. Raises :class:`Refusal`."""
        if app.market_only:
            raise Refusal("AUTH_TYPE_UNSUPPORTED")
        old = self._by_refresh.get(refresh_token)
        now = self.clock.now()
        if old is None or old.app != app.key or not old.refresh_live or now >= old.refresh_until:
            raise Refusal("IllegalRefreshToken")
        self._retire(old)
        # 108260: a refresh gives the access token its whole life again, the authorization none.
        return self._issue(old.app, old.seller_id, now, old.refresh_until)

    def authenticate(self, app: SandboxApp, access_token: str) -> Pair:
        """The pair that an access token belongs to. Raises :class:`Refusal`."""
        pair = self._by_access.get(access_token)
        if pair is None or pair.app != app.key:
            raise Refusal("IllegalAccessToken", about="unknown")
        if not pair.access_live:
            raise Refusal("IllegalAccessToken", about="revoked")
        if self.clock.now() >= pair.access_until:
            raise Refusal("IllegalAccessToken", about="expired")
        return pair

    def revoke(self, app: str, seller_id: str) -> None:
        """The seller withdraws the authorization: every token of it dies."""
        self._live.pop((app, seller_id), None)
        for pair in self._by_refresh.values():
            if (pair.app, pair.seller_id) == (app, seller_id):
                pair.refresh_live = False
                pair.access_live = False

    def live(self) -> list[Pair]:
        """The newest pair of every seller and app."""
        return list(self._live.values())

    def live_pair(self, app: str, seller_id: str) -> Pair | None:
        """The newest pair that the seller gave ``app``."""
        return self._live.get((app, seller_id))

    def find_refresh(self, refresh_token: str) -> Pair | None:
        """The pair of a refresh token, be it still good or not."""
        return self._by_refresh.get(refresh_token)

    def find_seller_id(self, *, access_token: str, refresh_token: str, code: str) -> str | None:
        """The owner of one of these, where one is known."""
        owner = (
            self._by_access.get(access_token)
            or self._by_refresh.get(refresh_token)
            or self._codes.get(code)
        )
        return owner.seller_id if owner else None

    def _retire(self, pair: Pair | None) -> None:
        # observed: TOP documents that the old refresh token ends. assumed: IOP's does as well.
        if pair is None:
            return
        if self.rotation == "single_use":
            pair.refresh_live = False
        if self.old_access_token == _DIES:
            pair.access_live = False

    def _issue(self, app: str, seller_id: str, now: datetime, refresh_until: datetime) -> Pair:
        key = (app, seller_id)
        self._generations[key] = generation = self._generations.get(key, 0) + 1
        pair = Pair(
            app,
            seller_id,
            generation,
            now,
            now + timedelta(seconds=self.access_seconds),
            refresh_until,
            # observed: tokens of AliExpress and TaoWorld begin so, access and refresh.
            f"50000601{_random(52)}",
            f"50001600{_random(52)}",
        )
        self._by_access[pair.access_token] = pair
        self._by_refresh[pair.refresh_token] = pair
        self._live[key] = pair
        return pair
