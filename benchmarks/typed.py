"""What a typed endpoint costs: 10,000 orders in pages of 200 kB, against code written by hand.

The baseline is ``json.loads`` and constructors called with each field, without a check of any. The
endpoint reads the same bytes as a gateway's answer: envelope, bounds, business failures, types.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import charts
from _report import judge, print_setting, print_table, spread

import iop_async as iop

ORDERS = 10_000
PER_PAGE = 130
MOST = 1.3


@attrs.frozen
class Item:
    order_item_id: int
    name: str
    sku: str
    quantity: int
    item_price: float
    status: str
    tracking_code: str | None = None


@attrs.frozen
class Address:
    country: str
    city: str
    post_code: str
    address1: str
    first_name: str
    phone: str


@attrs.frozen
class Order:
    order_id: int
    created_at: str
    updated_at: str
    price: str
    payment_method: str
    statuses: list[str]
    items: list[Item]
    address_shipping: Address
    voucher: float = 0.0
    remarks: str = ""


@attrs.frozen
class Orders:
    count: int
    orders: list[Order]


def _item(order: int, place: int) -> dict[str, Any]:
    return {
        "order_item_id": 10**15 + order * 10 + place,
        "name": "Cotton shirt, short sleeves, 3 colours, sizes S to XXL",
        "sku": f"SKU-{order}-{place}",
        "quantity": 1,
        "item_price": 99.5,
        "status": "pending",
        "tracking_code": None,
        "shop_sku": f"S{order}_{place}",
        "shipping_type": "Dropshipping",
        "product_main_image": f"https://img.example.com/{order}.jpg",
        "variation": "Color:Red",
        "paid_price": 99.5,
        "tax_amount": 7.0,
        "is_digital": 0,
        "currency": "SGD",
    }


def _order(number: int) -> dict[str, Any]:
    return {
        "order_id": 10**15 + number,
        "order_number": 10**15 + number,
        "created_at": "2026-11-01 10:00:00 +0700",
        "updated_at": "2026-11-02 10:00:00 +0700",
        "price": "199.00",
        "payment_method": "COD",
        "statuses": ["pending", "packed"],
        "voucher": 0.0,
        "remarks": "leave at the door",
        "gift_option": False,
        "warehouse_code": "dropshipping",
        "extra_attributes": None,
        "promised_shipping_times": "",
        "national_registration_number": "",
        "items_count": 2,
        "shipping_fee": 12.5,
        "address_shipping": {
            "country": "Singapore",
            "city": "Singapore",
            "post_code": "018956",
            "address1": "10 Bayfront Avenue",
            "address2": "",
            "first_name": "Ann",
            "last_name": "",
            "phone": "65*****01",
        },
        "items": [_item(number, place) for place in range(2)],
    }


def _pages() -> list[bytes]:
    orders = [_order(number) for number in range(ORDERS)]
    return [
        json.dumps(
            {
                "code": "0",
                "data": {"count": ORDERS, "orders": orders[start : start + PER_PAGE]},
                "request_id": "0ba2887315178178017221014",
            }
        ).encode()
        for start in range(0, ORDERS, PER_PAGE)
    ]


def by_hand(page: bytes) -> Orders:
    data = json.loads(page)["data"]
    return Orders(
        count=data["count"],
        orders=[
            Order(
                order_id=order["order_id"],
                created_at=order["created_at"],
                updated_at=order["updated_at"],
                price=order["price"],
                payment_method=order["payment_method"],
                statuses=order["statuses"],
                items=[
                    Item(
                        order_item_id=item["order_item_id"],
                        name=item["name"],
                        sku=item["sku"],
                        quantity=item["quantity"],
                        item_price=item["item_price"],
                        status=item["status"],
                        tracking_code=item["tracking_code"],
                    )
                    for item in order["items"]
                ],
                address_shipping=Address(
                    country=(address := order["address_shipping"])["country"],
                    city=address["city"],
                    post_code=address["post_code"],
                    address1=address["address1"],
                    first_name=address["first_name"],
                    phone=address["phone"],
                ),
                voucher=order["voucher"],
                remarks=order["remarks"],
            )
            for order in data["orders"]
        ],
    )


def _endpoint() -> Callable[[bytes], Orders]:
    get_orders = iop.Endpoint("/orders/get", Orders)
    call, gateway = iop.Call(get_orders.api), iop.gateways.TAOBAO_GLOBAL

    def read(page: bytes) -> Orders:
        return get_orders.read(gateway.decode(call, iop.HttpResponse(200, {}, page)))

    return read


def _milliseconds(read: Callable[[bytes], Orders], pages: list[bytes]) -> float:
    began = time.process_time()
    for page in pages:
        read(page)
    return (time.process_time() - began) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--picture", type=Path, help="draw an SVG")
    options = parser.parse_args()
    pages, endpoint = _pages(), _endpoint()
    if [by_hand(page) for page in pages] != [endpoint(page) for page in pages]:
        sys.exit("the two read different orders")
    pairs = [
        (_milliseconds(by_hand, pages), _milliseconds(endpoint, pages))
        for _ in range(options.rounds)
    ]
    print_setting("iop-async", "msgspec")
    print(f"{ORDERS:,} orders, {len(pages)} pages of {len(pages[0]) // 1000} kB\n")
    times = dict(zip(("by hand", "endpoint"), map(list, zip(*pairs, strict=True)), strict=True))
    ratios = {
        name: [own / pair[0] for own, pair in zip(of, pairs, strict=True)]
        for name, of in times.items()
    }
    print_table(
        ["", "CPU milliseconds", "times by hand"],
        [[name, spread(times[name], ".0f"), spread(ratios[name])] for name in times],
    )
    holds = judge("endpoint / by hand", ratios["endpoint"], "<=", MOST)
    if options.picture:
        options.picture.write_text(charts.bars({"CPU, times by hand": ratios}, limit=MOST))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
