"""Gateways: an address plus a dialect, and the presets of every market.

A preset is a value like any other; ``attrs.evolve(LAZADA_SG, signer=...)`` makes a variant.
"""

from __future__ import annotations

from typing import Final

from ._iop import Iop
from ._top import Top

__all__ = [
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
    "Top",
    "from_name",
]


def _lazada(host: str) -> Iop:
    return Iop(
        f"https://{host}",
        auth_url="https://auth.lazada.com",
        authorize_url="https://auth.lazada.com/oauth/authorize",
    )


TAOBAO_GLOBAL: Final = Iop("https://api.taobao.global")
ALIEXPRESS: Final = Iop("https://api-sg.aliexpress.com")
LAZADA_SG: Final = _lazada("api.lazada.sg")
LAZADA_MY: Final = _lazada("api.lazada.com.my")
LAZADA_VN: Final = _lazada("api.lazada.vn")
LAZADA_TH: Final = _lazada("api.lazada.co.th")
LAZADA_PH: Final = _lazada("api.lazada.com.ph")
LAZADA_ID: Final = _lazada("api.lazada.co.id")
MIRAVIA: Final = Iop(
    "https://api.miravia.es", authorize_url="https://auth.miravia.com/apps/oauth/authorize"
)
DARAZ_PK: Final = Iop("https://api.daraz.pk")
DARAZ_BD: Final = Iop("https://api.daraz.com.bd")
DARAZ_LK: Final = Iop("https://api.daraz.lk")
DARAZ_NP: Final = Iop("https://api.daraz.com.np")
DARAZ_MM: Final = Iop("https://api.shop.com.mm")
ALIBABA: Final = Iop(
    "https://openapi-api.alibaba.com",
    authorize_url="https://openapi-auth.alibaba.com/oauth/authorize",
)
TAOBAO: Final = Top("https://eco.taobao.com/router/rest")
TAOBAO_SEC: Final = Top("https://open.ieasynote.com/api")


def from_name(name: str) -> Iop | Top:
    """The preset of a market, for names that come from a setting: ``"lazada_sg"``.

    Raises:
        ValueError: no such market; the message lists those there are.
    """
    presets = {key: value for key, value in globals().items() if isinstance(value, (Iop, Top))}
    try:
        return presets[name.strip().upper().replace("-", "_")]
    except KeyError:
        msg = f"no market {name!r}; there are {', '.join(sorted(presets))}"
        raise ValueError(msg) from None
