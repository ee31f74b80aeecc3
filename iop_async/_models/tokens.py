"""A token, and the shops that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import field, frozen

from .._inputs import require_aware
from .._redact import NotPickled
from .._scrub import scrubs_construction
from .calls import secret_text


@frozen
class Seller:
    """One shop that a token serves; a cross-border token serves one in each venture.

    Example::

        for shop in token.sellers:
            print(shop.country, shop.seller_id)
    """

    country: str | None = None
    seller_id: str | None = None
    user_id: str | None = None
    short_code: str | None = None


@scrubs_construction
@frozen(kw_only=True)
class Token(NotPickled):
    """A token pair with its lifetimes: what a seller allowed an app to do, and until when.

    A ``Token`` is what a gateway gave, a ``Grant`` what we keep of a seller, a ``Record`` what a
    store keeps.

    All times are aware UTC datetimes, counted from the moment the request was sent.

    Attributes:
        access_token: signs into business calls.
        refresh_token: trades for a new pair, as long as :attr:`refreshable`.
        issued_at: when the request that brought this token was sent.
        expires_at: end of the access token; ``None`` where the gateway gave no readable lifetime,
            which means *unknown*, never *does not expire*.
        refresh_expires_at: end of the refresh token, which a refresh does not move; ``None`` where
            unknown. A lifetime of zero, the platform's way to say "cannot be refreshed", gives
            ``issued_at``.
        sellers: the shops served.
        account: login name of the seller.
        account_id: missing for ``account_platform="seller_center"``.
        account_platform: for example ``seller_center``.
        country: venture, ``cb`` for a cross-border token.
        extra: every other field of the answer, verbatim.

    Example::

        left = token.expires_in(datetime.now(UTC))
        print(token.seller_id, left, token.refreshable)
    """

    access_token: str = field(converter=secret_text, repr=False)
    refresh_token: str | None = field(default=None, converter=secret_text, repr=False)
    issued_at: datetime
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    sellers: tuple[Seller, ...] = ()
    account: str | None = None
    account_id: str | None = None
    account_platform: str | None = None
    country: str | None = None
    extra: Mapping[str, Any] = field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.access_token, str) or not self.access_token.strip():
            msg = "a token without an access_token is no token"
            raise ValueError(msg)
        for name in ("issued_at", "expires_at", "refresh_expires_at"):
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is not UTC:
                require_aware(name, moment)
                # Arithmetic within a zone of summer time gains or loses an hour.
                object.__setattr__(self, name, moment.astimezone(UTC))

    @property
    def seller_id(self) -> str | None:
        """The first shop's seller id; see ``tokens.seller_ids_of`` for what names a grant."""
        return self.sellers[0].seller_id if self.sellers else None

    @property
    def refreshable(self) -> bool:
        """True where a refresh is ever allowed; a lifetime of zero says that it never is."""
        # The guides of TaoWorld, Daraz and Lazada: refresh_expires_in = 0 is "cannot be refreshed".
        no_lifetime = self.refresh_expires_at is not None and (
            self.refresh_expires_at <= self.issued_at
        )
        return bool(self.refresh_token) and not no_lifetime

    def expires_in(self, now: datetime) -> timedelta | None:
        """The rest of the access token's lifetime at ``now`` (aware); ``None`` where unknown."""
        return None if self.expires_at is None else self.expires_at - now
