"""The parties: apps that call, and sellers that authorize them."""

from __future__ import annotations

import hashlib

from attrs import field, frozen

from .._models import Seller


def seeded_number(seed: str, count: int) -> int:
    """A number of up to ``count`` digits that is always the same for ``seed``."""
    number = int.from_bytes(hashlib.sha256(seed.encode("utf-8", "replace")).digest())
    return number % int(10**count)


@frozen
class SandboxApp:
    """An app registered with the sandbox.

    Args:
        key: the app key.
        secret: the app secret.
        name: what the consent page calls the app.
        callback: the only ``redirect_uri`` that the consent page accepts; any by default.
        refreshable: ``False`` gives tokens with ``refresh_expires_in=0``.
        market_only: an app sold through the service market: refreshing is refused with
            ``AUTH_TYPE_UNSUPPORTED``.
        ip_whitelist: the only addresses that may call; any by default.
        apis: the only APIs that the app has a permission for; all by default.

    Example::

        from iop_async.sandbox import Sandbox, SandboxApp

        sandbox = Sandbox(apps=[SandboxApp("12345678", "helloworld", apis=("/orders/get",))])
    """

    key: str
    secret: str = field(repr=False)
    name: str = field(default="", kw_only=True)
    callback: str | None = field(default=None, kw_only=True)
    refreshable: bool = field(default=True, kw_only=True)
    market_only: bool = field(default=False, kw_only=True)
    ip_whitelist: tuple[str, ...] | None = field(default=None, kw_only=True)
    apis: tuple[str, ...] | None = field(default=None, kw_only=True)

    def may_call(self, api: str) -> bool:
        """True for an API that the app has a permission for."""
        return self.apis is None or api in self.apis


@frozen
class SandboxSeller:
    """A seller who can authorize apps, and whose orders and products are made up.

    Args:
        seller_id: names the seller; also the id of the first shop.
        account: login name; made from the id by default.
        shops: what a token of this seller serves; one per venture for a cross-border seller. Made
            from the id, as the profile has it, by default.

    Example::

        from iop_async.sandbox import Sandbox, SandboxSeller

        sandbox = Sandbox(sellers=[SandboxSeller("2001", account="shop@me.example")])
    """

    seller_id: str
    account: str = ""
    shops: tuple[Seller, ...] = ()

    @property
    def shop(self) -> Seller:
        """The first shop, or the only one."""
        return self.shops[0]


def make_seller(
    seller: str | SandboxSeller, countries: tuple[str, ...], *, cross_border: bool
) -> SandboxSeller:
    """Fill in what was left out: one shop in one of ``countries``, or one shop in each."""
    if isinstance(seller, str):
        seller = SandboxSeller(seller)
    name = seller.seller_id
    if not cross_border and countries:
        countries = (countries[seeded_number(name, 6) % len(countries)],)
    shops = [_shop(name, country, index) for index, country in enumerate(countries or (None,))]
    return SandboxSeller(
        name,
        seller.account or f"seller-{seeded_number(name, 9)}@example.com",
        seller.shops or (*shops,),
    )


def _shop(seller_id: str, country: str | None, index: int) -> Seller:
    """The shop in one venture: its seller id is the seller's own in the first venture only."""
    seed = f"{seller_id}/{index}"
    return Seller(
        country=country,
        seller_id=seller_id if index == 0 else str(3 * 10**8 + seeded_number(seed, 8)),
        user_id=str(7 * 10**8 + seeded_number(f"user {seed}", 8)),
        short_code=f"{(country or 'hk').upper()}{seeded_number(seed, 5):05}",
    )


@frozen
class Subject:
    """The app, API and seller that a call claims to be about, before anything is checked.

    ``seller_id`` names the owner of the token or code that it carries, where that is known.
    """

    api: str
    app: str
    seller_id: str | None
