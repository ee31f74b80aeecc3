"""Business APIs called by a dotted name, with the answers-in-answers of AliExpress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from .. import _sample_data
from .._apis import Api, Context
from .business import echo, integer_param, requested_page


def _solution_orders(context: Context) -> Mapping[str, Any]:
    # observed: `result` with its own `success`. assumed: the query, JSON text in `param0`.
    query = _query(context)
    paging = {"page": query.get("current_page", 1), "page_size": query.get("page_size", 20)}
    paged = evolve(context, params={name: str(value) for name, value in paging.items()})
    orders = [
        _sample_data.order(context.seller, number)
        for number in requested_page(paged, _sample_data.ORDERS)
    ]
    return {
        "result": {
            "success": True,
            "current_page": int(paged.params["page"]),
            "total_count": _sample_data.ORDERS,
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
    # observed: `rsp_code` beside `result`, 200 for a success. assumed: 604 of an unknown item.
    item_id = integer_param(context, "product_id", None, "6")
    if item_id < 1000:
        return {"rsp_code": 604, "rsp_msg": "The product does not exist"}
    item = _sample_data.catalogue_item(item_id)
    skus = [{"sku_id": sku["sku_id"]} for sku in item["sku_list"]]
    return {
        "rsp_code": 200,
        "rsp_msg": "Call succeeds",
        "result": {
            "ae_item_base_info_dto": {"product_id": item_id, "subject": item["title"]},
            "ae_item_sku_info_dtos": {"ae_item_sku_info_d_t_o": skus},
        },
    }


def _affiliate_products(context: Context) -> Mapping[str, Any]:
    """The affiliate search, with ``resp_result`` around everything."""
    # observed: 405 says that nothing was found; clients read `current_record_count`.
    if context.params.get("keywords", "").strip() in ("", "nothing"):
        return {"resp_result": {"resp_code": 405, "resp_msg": "The result is empty"}}
    sizes = {"page": context.params.get("page_no", "1"), **context.params}
    numbers = requested_page(evolve(context, params=sizes), _sample_data.FOUND)
    products = [_sample_data.affiliate_product(number) for number in numbers]
    return {
        "resp_result": {
            "resp_code": 200,
            "resp_msg": "Call succeeds",
            "result": {
                "current_page_no": int(sizes["page"]),
                "current_record_count": len(products),
                "total_record_count": _sample_data.FOUND,
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
