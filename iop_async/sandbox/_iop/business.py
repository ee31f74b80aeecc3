"""Business APIs called by path, as sellers of TaoWorld, Lazada and Daraz use them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from attrs import asdict

from .. import _made_up
from .._apis import Api, Context
from .._refusals import Refusal


def whole_number(context: Context, name: str, default: int | None, code: str) -> int:
    """A parameter that is a whole number, else the refusal ``E<code>``."""
    text = context.required(name) if default is None else context.params.get(name) or str(default)
    # Ids have up to 20 digits; turning thousands of digits into a number is no sandbox's work.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise Refusal(code, f'E{int(code):03}: "{text[:80]}" Invalid {name}')
    return int(text)


def page_of(context: Context, total: int) -> range:
    """The numbers, from 1, that ``limit`` and ``offset`` or ``page`` and ``page_size`` ask for."""
    size = whole_number(context, "limit", 0, "19") or whole_number(context, "page_size", 20, "19")
    if not 0 < size <= 100:
        raise Refusal("19", f'E019: "{size}" Invalid limit')
    page = whole_number(context, "page", 1, "14")
    offset = whole_number(context, "offset", max(0, page - 1) * size, "14")
    return range(offset + 1, min(offset + size, total) + 1)


def _orders(context: Context) -> Mapping[str, Any]:
    numbers = page_of(context, _made_up.ORDERS)
    orders = [_made_up.order(context.seller, number) for number in numbers]
    return {"data": {"count": len(orders), "countTotal": _made_up.ORDERS, "orders": orders}}


def _number_of_order(context: Context) -> int:
    order_id = whole_number(context, "order_id", None, "16")
    number = _made_up.find_order(context.seller, order_id)
    if number is None:
        raise Refusal("16", f'E016: "{order_id}" Invalid Order ID')
    return number


def _order(context: Context) -> Mapping[str, Any]:
    return {"data": _made_up.order(context.seller, _number_of_order(context))}


def _order_items(context: Context) -> Mapping[str, Any]:
    return {"data": list(_made_up.order_items(context.seller, _number_of_order(context)))}


def _products(context: Context) -> Mapping[str, Any]:
    numbers = page_of(context, _made_up.PRODUCTS)
    products = [_made_up.product(context.seller, number) for number in numbers]
    return {"data": {"total_products": _made_up.PRODUCTS, "products": products}}


def _product(context: Context) -> Mapping[str, Any]:
    """TaoWorld's catalogue; ids below 1000 are items that were taken down."""
    item_id = whole_number(context, "item_id", None, "6")
    if item_id < 1000:
        return {
            "success": False,
            "biz_error_code": "ITEM_NOT_FOUND",
            "biz_error_msg": f"item {item_id} does not exist or was taken down",
        }
    return {"success": True, "data": _made_up.catalogue_item(item_id)}


def _seller(context: Context) -> Mapping[str, Any]:
    shop = context.seller.shop
    return {
        "data": {
            "seller_id": shop.seller_id,
            "short_code": shop.short_code,
            "name": context.seller.account.partition("@")[0],
            "email": context.seller.account,
            "location": shop.country,
            "status": "ACTIVE",
            "verified": True,
        }
    }


def _upload_files(context: Context) -> Mapping[str, Any]:
    if not context.files:
        raise Refusal("MissingParameter", "no file was uploaded")
    first = context.files[0]
    url = f"https://img.example.com/{first.sha256[:32]}.jpg"
    return {
        "data": {
            "image": {"url": url, "hash_code": first.sha256[:32]},
            "files": [asdict(file) for file in context.files],
        }
    }


def _upload_text(context: Context) -> Mapping[str, Any]:
    try:
        image = base64.b64decode(context.required("image_base64"), validate=True)
    except (binascii.Error, ValueError):
        return {"success": False, "biz_error_code": "INVALID_IMAGE", "biz_error_msg": "no base64"}
    sha256 = hashlib.sha256(image).hexdigest()
    url = f"https://img.example.com/{sha256[:32]}.jpg"
    return {"success": True, "data": {"image_url": url, "size": len(image), "sha256": sha256}}


def echo(context: Context) -> Mapping[str, Any]:
    """What arrived, as it was understood."""
    return {
        "data": {
            "params": dict(context.params),
            "files": [asdict(file) for file in context.files],
        }
    }


PATH_APIS: Final[Mapping[str, Api]] = {
    "/orders/get": Api(_orders),
    "/order/get": Api(_order),
    "/order/items/get": Api(_order_items),
    "/products/get": Api(_products),
    "/product/get": Api(_product),
    "/seller/get": Api(_seller),
    "/image/upload": Api(_upload_files),
    "/upload/image": Api(_upload_text),
    "/sandbox/echo": Api(echo, needs_token=False),
}
