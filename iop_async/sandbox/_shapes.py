"""The shapes in which the markets hand out a token: names, nesting and JSON types as observed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from attrs import frozen

from .._models import Seller
from ._grants import Pair
from ._parties import SandboxSeller, digits


@frozen
class Issued:
    """A pair that was just made, about to be handed out.

    Attributes:
        skew: seconds by which the gateway misdates moments.
        refreshed: whether a refresh, not a code, bought the pair.
    """

    pair: Pair
    seller: SandboxSeller
    skew: float
    refreshed: bool

    @property
    def expires_in(self) -> int:
        """Seconds that the access token lasts."""
        return int((self.pair.access_until - self.pair.issued_at).total_seconds())

    @property
    def refresh_expires_in(self) -> int:
        """Seconds left of the authorization; 0 for an app that may not refresh."""
        return int((self.pair.refresh_until - self.pair.issued_at).total_seconds())

    def milliseconds(self, moment: datetime) -> int:
        """A moment as the gateway dates it: epoch milliseconds."""
        return int((moment.timestamp() + self.skew) * 1000)


Shape: TypeAlias = Callable[[Issued], dict[str, Any]]


def _tokens(issued: Issued) -> dict[str, Any]:
    return {
        "access_token": issued.pair.access_token,
        "refresh_token": issued.pair.refresh_token,
        "expires_in": issued.expires_in,
        "refresh_expires_in": issued.refresh_expires_in,
        "account": issued.seller.account,
    }


def _shop(shop: Seller) -> dict[str, Any]:
    return {
        "country": shop.country,
        "user_id": shop.user_id,
        "seller_id": shop.seller_id,
        "short_code": shop.short_code,
    }


def _country(issued: Issued) -> str | None:
    return "cb" if len(issued.seller.shops) > 1 else issued.seller.shop.country


def _as_text(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, int) else value for name, value in answer.items()}


def taobao_global(issued: Issued) -> dict[str, Any]:
    """TaoWorld's sample: everything text, ``user_Id``, and an ``error_code`` in a success."""
    shop = issued.seller.shop
    return _as_text(
        _tokens(issued)
        | {
            "account_id": str(digits(f"account {shop.seller_id}", 7)),
            "account_platform": "seller_center",
            "user_Id": shop.user_id,
            "seller_Id": shop.seller_id,
            "short_code": shop.short_code,
            "error_code": "error_code",
        }
    )


def taobao_global_table(issued: Issued) -> dict[str, Any]:
    """TaoWorld's table, and what clients of it decode: numbers, and names in lower case."""
    shop = issued.seller.shop
    return _tokens(issued) | {
        "account_platform": "seller_center",
        "user_id": shop.user_id,
        "seller_id": shop.seller_id,
        "short_code": shop.short_code,
    }


def aliexpress(issued: Issued) -> dict[str, Any]:
    """AliExpress as it answers: numbers, moments in milliseconds, no ``account_id``."""
    shop = issued.seller.shop
    return _tokens(issued) | {
        "expire_time": issued.milliseconds(issued.pair.access_until),
        "refresh_token_valid_time": issued.milliseconds(issued.pair.refresh_until),
        "havana_id": str(17 * 10**9 + digits(f"havana {shop.seller_id}", 9)),
        "locale": "zh_CN",
        "user_nick": issued.seller.account.partition("@")[0],
        "user_id": shop.user_id,
        "seller_id": shop.seller_id,
        "account_platform": "buyerApp",
        "sp": "ae",
    }


def aliexpress_sample(issued: Issued) -> dict[str, Any]:
    """AliExpress's documented sample: everything text, with an ``account_id``."""
    more = {"account_id": "7063844", "account_platform": "seller_center"}
    return _as_text(aliexpress(issued) | more)


def alibaba(issued: Issued) -> dict[str, Any]:
    """Alibaba.com: as AliExpress, for another site."""
    return aliexpress(issued) | {"sp": "icbu"}


def lazada(issued: Issued) -> dict[str, Any]:
    """Lazada and Miravia: a list of shops, which a refresh gives under two names."""
    shops = [_shop(shop) for shop in issued.seller.shops]
    answer = _tokens(issued) | {
        "country": _country(issued),
        "account_platform": "seller_center",
        "country_user_info": shops,
    }
    return answer | {"country_user_info_list": shops} if issued.refreshed else answer


def lazada_by_country(issued: Issued) -> dict[str, Any]:
    """Lazada's documented variant: lifetimes as text, shops by country, users as numbers."""
    shops = {
        str(shop.country).upper(): _shop(shop) | {"user_id": int(shop.user_id or 0)}
        for shop in issued.seller.shops
    }
    more = {"account_id": "7063844", "country": _country(issued), "country_user_info": shops}
    return _as_text(_tokens(issued) | {"account_platform": "seller_center"}) | more


def daraz(issued: Issued) -> dict[str, Any]:
    """Daraz: one ``user_info`` object for a local seller, Lazada's list for several shops."""
    if len(issued.seller.shops) > 1:
        return lazada(issued)
    shop = issued.seller.shop
    return _tokens(issued) | {
        "country": shop.country,
        "account_platform": "seller_center",
        "user_info": _shop(shop) | {"user_id": int(shop.user_id or 0)},
    }
