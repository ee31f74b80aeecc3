"""Fake orders and products, generated from the seller's id: always the same, nothing stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ._parties import SandboxSeller, seeded_number

ORDERS: Final = 120
PRODUCTS: Final = 30
FOUND: Final = 3
"""Products that a search finds."""

_FIRST_ORDER = datetime(2025, 1, 3, 8, 15, tzinfo=UTC)
_STATUSES = ("pending", "packed", "ready_to_ship", "shipped", "delivered", "canceled")
_PEOPLE = ("林美玲", "Nguyễn Văn An", "Ana Sofía", "Jürgen", "สมชาย", "O'Neil & Sons")
_THINGS = (
    "陶瓷茶壶 Teapot",
    "Linen shirt",
    "羊毛围巾 Scarf",
    "Desk lamp",
    "Чайник",
    "Rice cooker 1.8L",
)
_CITIES = ("Hong Kong", "Kuala Lumpur", "Karachi", "Madrid", "Bangkok", "Hà Nội")


def order(seller: SandboxSeller, number: int) -> dict[str, Any]:
    """The seller's ``number``-th order, counted from 1."""
    seed = f"{seller.seller_id} order {number}"
    items = list(order_items(seller, number))
    order_id = _first_order_id(seller) + number
    return {
        "order_id": order_id,
        "order_number": order_id,
        "created_at": created_at(seller, number).strftime("%Y-%m-%d %H:%M:%S +0000"),
        "statuses": [_pick(_STATUSES, seed)],
        "price": f"{sum(item['paid_cents'] for item in items) / 100:.2f}",
        "items_count": len(items),
        "customer_first_name": _pick(_PEOPLE, seed),
        "address_shipping": {"city": _pick(_CITIES, f"{seed} city"), "post_code": "00100"},
        "remarks": "",
    }


def created_at(seller: SandboxSeller, number: int) -> datetime:
    """The date of the seller's ``number``-th order."""
    minutes = seeded_number(f"{seller.seller_id} order {number}", 2)
    return _FIRST_ORDER + timedelta(hours=7 * number, minutes=minutes)


def order_items(seller: SandboxSeller, number: int) -> Iterator[dict[str, Any]]:
    """The items bought with the seller's ``number``-th order."""
    for index in range(1, 2 + seeded_number(f"{seller.seller_id} items {number}", 3) % 3):
        thing = product(seller, 1 + (number * 7 + index) % PRODUCTS)
        yield {
            "order_item_id": (_first_order_id(seller) + number) * 10 + index,
            "order_id": _first_order_id(seller) + number,
            "product_id": thing["item_id"],
            "name": thing["attributes"]["name"],
            "sku": thing["skus"][0]["SellerSku"],
            "paid_cents": thing["skus"][0]["price_cents"],
            "status": _pick(_STATUSES, f"{seller.seller_id} order {number}"),
        }


def find_order(seller: SandboxSeller, order_id: int) -> int | None:
    """The number of an order of this seller.

    A small id is the number itself, so that a call written by hand finds an order.
    """
    number = order_id if order_id < 1000 else order_id - _first_order_id(seller)
    return number if 1 <= number <= ORDERS else None


def product(seller: SandboxSeller, number: int) -> dict[str, Any]:
    """The seller's ``number``-th product, counted from 1."""
    seed = f"{seller.seller_id} product {number}"
    cents = 100 + seeded_number(seed, 5)
    return {
        "item_id": 10**15 + seeded_number(seed, 15),
        "attributes": {"name": f"{_pick(_THINGS, seed)} {number}", "brand": "No Brand"},
        "status": "Active",
        "skus": [
            {
                "SkuId": 10**12 + seeded_number(f"{seed} sku", 12),
                "SellerSku": f"SB-{number:03}",
                "price": f"{cents / 100:.2f}",
                "price_cents": cents,
                "quantity": seeded_number(f"{seed} stock", 2),
            }
        ],
    }


def catalogue_item(item_id: int) -> dict[str, Any]:
    """An item of the market's catalogue, which is the same for everybody."""
    seed = f"item {item_id}"
    # observed: a client of TaoWorld in production reads prices in fen, and such properties.
    properties = {
        "prop_id": 1627207,
        "prop_name": "颜色",
        "value_id": 28326,
        "value_name": "红色",
        "value_desc": "红色",
    }
    return {
        "item_id": item_id,
        "title": _pick(_THINGS, seed),
        "shop_name": _pick(_PEOPLE, seed),
        "price": 100 + seeded_number(seed, 5),
        "currency": "CNY",
        "quantity": seeded_number(f"{seed} stock", 3),
        "sku_list": [
            {
                "sku_id": 5 * 10**12 + seeded_number(f"{seed} sku", 12),
                "properties": [properties],
            }
        ],
    }


def affiliate_product(number: int) -> dict[str, Any]:
    """The ``number``-th product of AliExpress's affiliate search, counted from 1."""
    item = catalogue_item(10**15 + number)
    page = f"https://www.example.com/item/{item['item_id']}"
    # observed: the members that clients of the search read; money is text.
    return {
        "product_id": item["item_id"],
        "product_title": item["title"],
        "target_sale_price": f"{item['price'] / 100:.2f}",
        "promotion_link": f"{page}.html?aff=sandbox",
        "product_small_image_urls": {"string": [f"{page}/{image}.jpg" for image in (1, 2)]},
    }


def _first_order_id(seller: SandboxSeller) -> int:
    """One below the first id."""
    # observed: ids of orders exceed 2^53, so no floating point number holds them.
    return 5 * 10**17 + seeded_number(seller.seller_id, 12) * 1000


def _pick(choices: tuple[str, ...], seed: str) -> str:
    return choices[seeded_number(seed, 6) % len(choices)]
