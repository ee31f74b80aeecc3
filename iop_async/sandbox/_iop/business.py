"""Business APIs called by path, as sellers of TaoWorld, Lazada and Daraz use them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from attrs import asdict

from .. import _sample_data
from .._answers import Refusal
from .._apis import Api, Context


def integer_param(context: Context, name: str, default: int | None, code: str) -> int:
    """A parameter that is a whole number, else the refusal ``E<code>``."""
    text = context.required(name) if default is None else context.params.get(name) or str(default)
    # Ids have up to 20 digits; turning thousands of digits into a number is no sandbox's work.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        # assumed: the words; Lazada's pages write codes so, as in "E901: ...".
        raise Refusal(code, f'E{int(code):03}: "{text[:80]}" Invalid {name}')
    return int(text)


def requested_page(context: Context, total: int) -> range:
    """The numbers, from 1, that ``limit`` and ``offset`` or ``page`` and ``page_size`` ask for."""
    size = integer_param(context, "limit", 0, "19") or integer_param(context, "page_size", 20, "19")
    # observed: GetOrders of Daraz gives 100 rows at most.
    if not 0 < size <= 100:
        raise Refusal("19", f'E019: "{size}" Invalid limit')
    page = integer_param(context, "page", 1, "14")
    offset = integer_param(context, "offset", max(0, page - 1) * size, "14")
    return range(offset + 1, min(offset + size, total) + 1)


def _orders(context: Context) -> Mapping[str, Any]:
    # observed: Lazada's `count` of this page beside `countTotal`.
    numbers = requested_page(context, _sample_data.ORDERS)
    orders = [_sample_data.order(context.seller, number) for number in numbers]
    return {"data": {"count": len(orders), "countTotal": _sample_data.ORDERS, "orders": orders}}


def _number_of_order(context: Context, name: str = "order_id") -> int:
    order_id = integer_param(context, name, None, "16")
    number = _sample_data.find_order(context.seller, order_id)
    if number is None:
        raise Refusal("16", f'E016: "{order_id}" Invalid Order ID')
    return number


def _order(context: Context) -> Mapping[str, Any]:
    return {"data": _sample_data.order(context.seller, _number_of_order(context))}


def _order_by_path(context: Context) -> Mapping[str, Any]:
    return {"data": _sample_data.order(context.seller, _number_of_order(context, "orderId"))}


def _order_items(context: Context) -> Mapping[str, Any]:
    return {"data": list(_sample_data.order_items(context.seller, _number_of_order(context)))}


def _products(context: Context) -> Mapping[str, Any]:
    numbers = requested_page(context, _sample_data.PRODUCTS)
    products = [_sample_data.product(context.seller, number) for number in numbers]
    return {"data": {"total_products": _sample_data.PRODUCTS, "products": products}}


def _product(context: Context) -> Mapping[str, Any]:
    """TaoWorld's catalogue; ids below 1000 are items that were taken down."""
    # observed: a business failure keeps the gateway's code "0", and sets `biz_error_code`.
    item_id = integer_param(context, "item_id", None, "6")
    if item_id < 1000:
        return {
            "success": False,
            "biz_error_code": "ITEM_NOT_FOUND",
            "biz_error_msg": f"item {item_id} does not exist or was taken down",
        }
    return {"success": True, "data": _sample_data.catalogue_item(item_id)}


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
    # observed: a strict client of TaoWorld reads `image_id`.
    described = {"image_url": url, "size": len(image), "sha256": sha256}
    return {"success": True, "data": {"image_id": sha256[:32], **described}}


def echo(context: Context) -> Mapping[str, Any]:
    """The parameters and files that arrived, as they were understood."""
    return {
        "data": {
            "params": dict(context.params),
            "files": [asdict(file) for file in context.files],
        }
    }


# observed: paths of Lazada and Daraz, /product/get and /upload/image those of TaoWorld.
# DOC:120693: /orders/{orderId}, the document's example of REST 2.0.
PATH_APIS: Final[Mapping[str, Api]] = {
    "/orders/get": Api(_orders),
    "/order/get": Api(_order),
    "/orders/{orderId}": Api(_order_by_path),
    "/order/items/get": Api(_order_items),
    "/products/get": Api(_products),
    "/product/get": Api(_product),
    "/seller/get": Api(_seller),
    "/image/upload": Api(_upload_files),
    "/upload/image": Api(_upload_text),
    "/sandbox/echo": Api(echo, needs_token=False),
}
