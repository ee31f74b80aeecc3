"""A seller's orders as Taobao tells of them: trades, with the goods as orders within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .. import _sample_data
from .._clock import CHINA
from .._parties import SandboxSeller, seeded_number

_STATUSES: Final[Mapping[str, str]] = {
    "pending": "WAIT_BUYER_PAY",
    "packed": "WAIT_SELLER_SEND_GOODS",
    "ready_to_ship": "WAIT_SELLER_SEND_GOODS",
    "shipped": "WAIT_BUYER_CONFIRM_GOODS",
    "delivered": "TRADE_FINISHED",
    "canceled": "TRADE_CLOSED",
}


def trades_of(
    seller: SandboxSeller, *, status: str = "", start: str = "", end: str = ""
) -> list[dict[str, Any]]:
    """The trades of a status that were created between two times, the newest first."""
    trades = (_trade(seller, number) for number in range(_sample_data.ORDERS, 0, -1))
    return [
        trade
        for trade in trades
        if status in ("", trade["status"])
        and (start or trade["created"]) <= trade["created"] <= (end or trade["created"])
    ]


def find_trade(seller: SandboxSeller, tid: int) -> dict[str, Any] | None:
    """The trade of this number; a small one counts from the first."""
    number = _sample_data.find_order(seller, tid)
    return None if number is None else _trade(seller, number)


def _trade(seller: SandboxSeller, number: int) -> dict[str, Any]:
    order = _sample_data.order(seller, number)
    status = _STATUSES[order["statuses"][0]]
    created = _sample_data.created_at(seller, number).astimezone(CHINA)
    buyer = order["customer_first_name"]
    return {
        "tid": order["order_id"],
        "tid_str": str(order["order_id"]),
        "status": status,
        "created": created.strftime("%Y-%m-%d %H:%M:%S"),
        "payment": order["price"],
        "num": order["items_count"],
        "seller_nick": seller.account,
        "buyer_nick": f"{buyer[0]}**{buyer[-1]}",
        "buyer_message": "",
        "receiver_name": buyer,
        "receiver_city": order["address_shipping"]["city"],
        "orders": [_order(item, status) for item in _sample_data.order_items(seller, number)],
    }


def _order(item: Mapping[str, Any], status: str) -> dict[str, Any]:
    price = f"{item['paid_cents'] / 100:.2f}"
    return {
        "oid": item["order_item_id"],
        "num_iid": item["product_id"],
        "sku_id": str(5 * 10**12 + seeded_number(f"sku {item['product_id']}", 12)),
        "outer_sku_id": item["sku"],
        "sku_properties_name": "颜色分类:红色",
        "title": item["name"],
        "price": price,
        "num": 1,
        "payment": price,
        "status": status,
    }
