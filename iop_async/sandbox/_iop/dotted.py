"""Business APIs called by a dotted name, with the answers-in-answers of AliExpress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from .. import _made_up
from .._apis import Api, Context
from .business import echo, page_of, whole_number


def _solution_orders(context: Context) -> Mapping[str, Any]:
    """``result`` with its own ``success``; the query is JSON text in ``param0``."""
    query = _query(context)
    paging = {"page": query.get("current_page", 1), "page_size": query.get("page_size", 20)}
    paged = evolve(context, params={name: str(value) for name, value in paging.items()})
    orders = [_made_up.order(context.seller, number) for number in page_of(paged, _made_up.ORDERS)]
    return {
        "result": {
            "success": True,
            "current_page": int(paged.params["page"]),
            "total_count": _made_up.ORDERS,
            "target_list": {"order_dto": orders},
        }
    }


def _query(context: Context) -> dict[str, Any]:
    try:
        query = json.loads(context.params.get("param0", "{}"))
    except ValueError:
        return {}
    return query if isinstance(query, dict) else {}


def _dropshipping_product(context: Context) -> Mapping[str, Any]:
    """``rsp_code`` beside ``result``."""
    item_id = whole_number(context, "product_id", None, "6")
    if item_id < 1000:
        return {"rsp_code": 604, "rsp_msg": "The product does not exist"}
    item = _made_up.catalogue_item(item_id)
    return {
        "rsp_code": 200,
        "rsp_msg": "Call succeeds",
        "result": {
            "ae_item_base_info_dto": {"product_id": item_id, "subject": item["title"]},
            "ae_item_sku_info_dtos": {"ae_item_sku_info_d_t_o": item["sku_list"]},
        },
    }


def _affiliate_products(context: Context) -> Mapping[str, Any]:
    """``resp_result`` around everything; 405 is its word for "nothing found"."""
    if context.params.get("keywords", "").strip() in ("", "nothing"):
        return {"resp_result": {"resp_code": 405, "resp_msg": "The result is empty"}}
    products = [_made_up.catalogue_item(10**15 + number) for number in range(1, 4)]
    return {
        "resp_result": {
            "resp_code": 200,
            "resp_msg": "Call succeeds",
            "result": {
                "current_page_no": 1,
                "total_record_count": len(products),
                "products": {"product": products},
            },
        }
    }


DOTTED_APIS: Final[Mapping[str, Api]] = {
    "aliexpress.solution.order.get": Api(_solution_orders),
    "aliexpress.ds.product.get": Api(_dropshipping_product),
    "aliexpress.affiliate.product.query": Api(_affiliate_products, needs_token=False),
    "sandbox.echo": Api(echo, needs_token=False),
}
