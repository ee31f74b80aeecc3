"""The shapes in which the markets hand out a token: names, nesting and JSON types.

Where a document and production differ, the shape named after the market is that of production.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from attrs import frozen

from .._models import Seller
from ._grants import Pair
from ._parties import SandboxSeller, seeded_number


@frozen
class Issued:
    """A pair that was just made, about to be handed out.

    Attributes:
        skew: seconds by which the gateway misdates moments.
        refreshed: a refresh, not a code, bought the pair.
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
        # 108260: counts down, a refresh does not reset it. 121098: 0 means "cannot be refreshed".
        return int((self.pair.refresh_until - self.pair.issued_at).total_seconds())

    def milliseconds(self, moment: datetime) -> int:
        """A moment as the gateway dates it: epoch milliseconds."""
        return int((moment.timestamp() + self.skew) * 1000)


Shape: TypeAlias = Callable[[Issued], dict[str, Any]]


def _tokens(issued: Issued) -> dict[str, Any]:
    # observed: lifetimes are numbers in the answers of every market, whatever its samples show.
    return {
        "access_token": issued.pair.access_token,
        "refresh_token": issued.pair.refresh_token,
        "expires_in": issued.expires_in,
        "refresh_expires_in": issued.refresh_expires_in,
        "account": issued.seller.account,
    }


def _shop(shop: Seller) -> dict[str, Any]:
    # observed: all text, in Lazada's answers of 2018 to 2026.
    return {
        "country": shop.country,
        "user_id": shop.user_id,
        "seller_id": shop.seller_id,
        "short_code": shop.short_code,
    }


def _country(issued: Issued) -> str | None:
    # observed: Lazada calls the venture of a cross-border seller "cb".
    return "cb" if len(issued.seller.shops) > 1 else issued.seller.shop.country


def _as_text(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, int) else value for name, value in answer.items()}


def taobao_global(issued: Issued) -> dict[str, Any]:
    """TaoWorld as it answers: numbers, and names in lower case."""
    shop = issued.seller.shop
    # observed: no account_id and no error_code; a strict client in production reads int64.
    return _tokens(issued) | {
        "account_platform": "seller_center",
        "user_id": shop.user_id,
        "seller_id": shop.seller_id,
        "short_code": shop.short_code,
    }


def taobao_global_sample(issued: Issued) -> dict[str, Any]:
    """TaoWorld's documented sample: everything text, ``user_Id``, ``error_code`` in a success."""
    shop = issued.seller.shop
    # observed: in the sample of TaoWorld's guide to authorization, and in no answer.
    return _as_text(
        _tokens(issued)
        | {
            "account_id": str(seeded_number(f"account {shop.seller_id}", 7)),
            "account_platform": "seller_center",
            "user_Id": shop.user_id,
            "seller_Id": shop.seller_id,
            "short_code": shop.short_code,
            "error_code": "error_code",
        }
    )


def aliexpress(issued: Issued) -> dict[str, Any]:
    """AliExpress as it answers: numbers, moments in milliseconds, no ``account_id``."""
    shop = issued.seller.shop
    # observed: answers of a test app (2023) and of an app online (2026).
    return _tokens(issued) | {
        "expire_time": issued.milliseconds(issued.pair.access_until),
        "refresh_token_valid_time": issued.milliseconds(issued.pair.refresh_until),
        "havana_id": str(17 * 10**9 + seeded_number(f"havana {shop.seller_id}", 9)),
        "locale": "zh_CN",
        "user_nick": issued.seller.account.partition("@")[0],
        "user_id": shop.user_id,
        "seller_id": shop.seller_id,
        "account_platform": "buyerApp",
        "sp": "ae",
    }


def aliexpress_sample(issued: Issued) -> dict[str, Any]:
    """AliExpress's documented sample: everything text, with an ``account_id``."""
    # observed: on the page of /auth/token/create, whose table calls the same fields numbers.
    more = {"account_id": "7063844", "account_platform": "seller_center"}
    return _as_text(aliexpress(issued) | more)


def alibaba(issued: Issued) -> dict[str, Any]:
    """Alibaba.com as it answers: ids in a ``user_info`` object, one country for all."""
    shop = issued.seller.shop
    # observed: no `sp`, no `havana_id` and no moments, unlike AliExpress's.
    return _tokens(issued) | {
        "country": "GLOBAL",
        "account_platform": "buyerApp",
        "user_info": {
            "loginId": issued.seller.account.partition("@")[0],
            "user_id": shop.user_id,
            "seller_id": shop.seller_id,
        },
    }


def lazada(issued: Issued) -> dict[str, Any]:
    """Lazada and Miravia: a list of shops, which a refresh gives under two names."""
    shops = [_shop(shop) for shop in issued.seller.shops]
    # observed: account_platform is seller_center on Lazada. assumed: Miravia's answer is alike.
    answer = _tokens(issued) | {
        "country": _country(issued),
        "account_platform": "seller_center",
        "country_user_info": shops,
    }
    # observed: both lists, with the same members, in two refreshes of production.
    return answer | {"country_user_info_list": shops} if issued.refreshed else answer


def lazada_by_country(issued: Issued) -> dict[str, Any]:
    """Lazada's documented variant: lifetimes as text, shops by country, users as numbers."""
    # observed: once in the pages of Lazada's system APIs, whose other samples show a list.
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
    # observed: in production in 2026; the number comes from a client's fixture.
    return _tokens(issued) | {
        "country": shop.country,
        "account_platform": "seller_center",
        "user_info": _shop(shop) | {"user_id": int(shop.user_id or 0)},
    }
