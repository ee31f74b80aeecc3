"""Gateways: an address plus a dialect, and the presets of every market.

A preset is a value like any other; ``attrs.evolve(LAZADA_SG, signer=...)`` makes a variant.

Example::

    client = iop.Client(app, iop.gateways.LAZADA_SG)
    with_decimals = attrs.evolve(iop.gateways.LAZADA_SG, decimal=True)
"""

from __future__ import annotations

from typing import Final, TypeAlias

from .._scrub import scrubs_frames
from ..dates import iso8601
from ._iop import Iop
from ._top import Top

__all__ = [
    "AIDGE",
    "ALIBABA",
    "ALIEXPRESS",
    "DARAZ_BD",
    "DARAZ_LK",
    "DARAZ_MM",
    "DARAZ_NP",
    "DARAZ_PK",
    "LAZADA_ID",
    "LAZADA_MY",
    "LAZADA_PH",
    "LAZADA_SG",
    "LAZADA_TH",
    "LAZADA_VN",
    "MIRAVIA",
    "TAOBAO",
    "TAOBAO_GLOBAL",
    "TAOBAO_SEC",
    "Iop",
    "Preset",
    "Top",
    "from_name",
]

Preset: TypeAlias = Iop | Top
"""The dialects of the presets."""


# Addresses, by document: 121120 (TaoWorld), DOC:120692 (AliExpress), 108065 (Lazada),
# DOC:120904 (Miravia), DOC:120243 (Daraz), DOC:101617 (TOP). Those of Alibaba.com and of AIDGE are
# observed: official SDKs and clients in use name them, no page was found.
def _lazada(host: str) -> Iop:
    return Iop(
        f"https://{host}",
        auth_url="https://auth.lazada.com",  # 108065: tokens are traded here only
        authorize_url="https://auth.lazada.com/oauth/authorize",
        date_form=iso8601,  # observed: of orders, products and partner APIs; others differ
    )


def _daraz(host: str) -> Iop:
    return Iop(f"https://{host}", date_form=iso8601)  # observed: a client in production


# DOC:118817 and constants of SDKs have its predecessor, api.taobao.tw.
TAOBAO_GLOBAL: Final = Iop("https://api.taobao.global")
ALIEXPRESS: Final = Iop("https://api-sg.aliexpress.com")
LAZADA_SG: Final = _lazada("api.lazada.sg")
LAZADA_MY: Final = _lazada("api.lazada.com.my")
LAZADA_VN: Final = _lazada("api.lazada.vn")
LAZADA_TH: Final = _lazada("api.lazada.co.th")
LAZADA_PH: Final = _lazada("api.lazada.com.ph")
LAZADA_ID: Final = _lazada("api.lazada.co.id")
MIRAVIA: Final = Iop(
    "https://api.miravia.es",
    authorize_url="https://auth.miravia.com/apps/oauth/authorize",
    date_form=iso8601,  # observed: a client in production
)
# Daraz contradicts itself on the host of its token endpoints; observed: the regional one answers
# in production.
DARAZ_PK: Final = _daraz("api.daraz.pk")
DARAZ_BD: Final = _daraz("api.daraz.com.bd")
DARAZ_LK: Final = _daraz("api.daraz.lk")
DARAZ_NP: Final = _daraz("api.daraz.com.np")
DARAZ_MM: Final = _daraz("api.shop.com.mm")
ALIBABA: Final = Iop(
    "https://openapi-api.alibaba.com",
    authorize_url="https://openapi-auth.alibaba.com/oauth/authorize",
)
# AliExpress's AI service: paths below /ai/ with one JSON text, `paramJson`, and no seller.
# observed: without the header `x-iop-trial: true` an app on trial quota is refused as NoResource.
AIDGE: Final = Iop("https://api.aidc-ai.com")
# DOC:101617 names gw.api.taobao.com beside it, and api.taobao.com for calls from overseas.
TAOBAO: Final = Top("https://eco.taobao.com/router/rest")
# The page of taobao.top.sec.token.get names this host; the samples on it call TOP's.
TAOBAO_SEC: Final = Top("https://open.ieasynote.com/api")


@scrubs_frames
def from_name(name: str) -> Preset:
    """The preset of a market, for names that come from a setting: ``"lazada_sg"``.

    Raises:
        ValueError: no such market; the message lists those there are.

    Example::

        assert iop.gateways.from_name("lazada-sg") is iop.gateways.LAZADA_SG
    """
    presets: dict[str, Preset] = {key: globals()[key] for key in __all__ if key.isupper()}
    try:
        return presets[name.strip().upper().replace("-", "_")]
    except KeyError:
        if "://" in name:
            msg = "the market's name is an address; give that to Iop or Top"
            raise ValueError(msg) from None
        msg = f"no market {name!r}; there are {', '.join(sorted(presets))}"
        raise ValueError(msg) from None
