"""TOP's business APIs: a clock, a shop, its trades, its pictures, and an echo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import asdict

from .._answers import Refusal
from .._apis import Api, Context
from .._clock import CHINA
from .._parties import seeded_number
from .trades import find_trade, trades_of

_DEEPEST = 64


def _time(context: Context) -> Mapping[str, Any]:
    wall = context.sandbox.clock.wall().astimezone(CHINA)
    return {"time": wall.strftime("%Y-%m-%d %H:%M:%S")}


def _app_ip(context: Context) -> Mapping[str, Any]:
    return {"ip": context.client}


def _user(context: Context) -> Mapping[str, Any]:
    shop, nick = context.seller.shop, context.seller.account
    user = {
        "user_id": seeded_number(f"user {shop.seller_id}", 12),
        "uid": shop.user_id,
        "nick": nick,
        "sex": "f",
        "type": "B",
        "status": "normal",
        "has_shop": True,
        "seller_credit": {"level": 12, "score": 21_034, "total_num": 21_112, "good_num": 21_066},
    }
    return {"user": _select_fields(context, user)}


def _trades_sold(context: Context) -> Mapping[str, Any]:
    # assumed: 40 by default and 100 at most.
    page, size = _number(context, "page_no", 1), _number(context, "page_size", 40)
    if not 0 < size <= 100:
        raise _invalid("page_size")
    found = trades_of(
        context.seller,
        status=context.params.get("status", ""),
        start=context.params.get("start_created", ""),
        end=context.params.get("end_created", ""),
    )
    shown = found[max(0, page - 1) * size :][:size]
    trades = [_select_fields(context, trade) for trade in shown]
    if context.params.get("use_has_next") == "true":
        return {"trades": trades, "has_next": page * size < len(found)}
    return {"trades": trades, "total_results": len(found)}


def _trade(context: Context) -> Mapping[str, Any]:
    trade = find_trade(context.seller, _number(context, "tid", None))
    if trade is None:
        raise Refusal("isv.trade-not-exist", sub_message="交易不存在")
    return {"trade": _select_fields(context, trade)}


def _upload(context: Context) -> Mapping[str, Any]:
    category = _number(context, "picture_category_id", None)
    title = context.required("image_input_title")
    picture = next((file for file in context.files if file.name == "img"), None)
    if picture is None:
        raise Refusal("MissingParameter", about="img")
    number = seeded_number(picture.sha256, 15)
    return {
        "picture": {
            "picture_id": number,
            "picture_category_id": category,
            "picture_path": f"https://img.example.com/imgextra/{number}.jpg",
            "title": title,
            "sizes": picture.size,
            "sha256": picture.sha256,
        }
    }


def _echo(context: Context) -> Mapping[str, Any]:
    """The parameters and files that arrived; JSON in ``value`` comes back decoded."""
    params = context.params
    return {
        "params": dict(params),
        "files": [asdict(file) for file in context.files],
        "body": context.body.decode() or None,
        "value": _nested(params["value"]) if "value" in params else None,
    }


def _nested(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid("value") from None
    level = [value]
    for _ in range(_DEEPEST):
        level = [member for each in level for member in _members(each)]
        if not level:
            return value
    raise _invalid("value")


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _select_fields(context: Context, thing: Mapping[str, Any]) -> dict[str, Any]:
    """The members that ``fields`` asks for; ``orders.title`` asks for all of ``orders``."""
    names = {name.strip().partition(".")[0] for name in context.required("fields").split(",")}
    if not names & thing.keys():
        raise _invalid("fields")
    return {name: value for name, value in thing.items() if name in names}


def _number(context: Context, name: str, default: int | None) -> int:
    text = context.required(name) if default is None else context.params.get(name) or str(default)
    # Ids have up to 20 digits; turning thousands of digits into a number is no sandbox's work.
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise _invalid(name)
    return int(text)


def _invalid(name: str) -> Refusal:
    return Refusal("InvalidParameter", about=name)


BUSINESS_APIS: Final[Mapping[str, Api]] = {
    "taobao.time.get": Api(_time, needs_token=False),
    "taobao.appip.get": Api(_app_ip, needs_token=False),
    "taobao.user.seller.get": Api(_user),
    "taobao.trades.sold.get": Api(_trades_sold),
    "taobao.trade.fullinfo.get": Api(_trade),
    "taobao.picture.upload": Api(_upload),
    "taobao.sandbox.echo": Api(_echo, needs_token=False),
}
