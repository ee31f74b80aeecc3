"""TOP's token endpoints: for the sellers of an app, and for a device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from .._apis import Api, Context
from .._parties import seeded_number
from .._shapes import Issued

# observed: 1800 s in a sample, of one of the two levels.
_HALF_AN_HOUR = 30 * 60


def token_result(issued: Issued) -> str:
    """A pair as TOP hands it out: JSON, as text, the same whatever the market's profile.

    ``r`` are lifetimes of APIs that read, ``w`` of those that write; ``2`` are the guarded ones.
    """
    pair, seller = issued.pair, issued.seller
    # observed: numbers but for ids and the nick, which is percent-encoded.
    guarded = min(issued.expires_in, _HALF_AN_HOUR)
    answer: dict[str, Any] = {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "expire_time": issued.milliseconds(pair.access_until),
        "re_expires_in": issued.refresh_expires_in,
        "refresh_token_valid_time": issued.milliseconds(pair.refresh_until),
        "taobao_user_id": seller.shop.seller_id,
        "taobao_user_nick": quote(seller.account, safe=""),
        "taobao_open_uid": f"AAE{seeded_number(f'open {seller.seller_id}', 20):020}",
    }
    now = issued.milliseconds(pair.issued_at)
    for level, seconds in (("1", issued.expires_in), ("2", guarded)):
        for right in "rw":
            answer[f"{right}{level}_expires_in"] = seconds
            answer[f"{right}{level}_valid"] = now + seconds * 1000
    return json.dumps(answer)


def _create(context: Context) -> Mapping[str, Any]:
    # assumed: uuid belongs to the authorize page, and is not looked at here.
    pair = context.sandbox.grants.redeem(context.app, context.required("code"))
    return {"token_result": token_result(context.sandbox.issued(pair))}


def _refresh(context: Context) -> Mapping[str, Any]:
    pair = context.sandbox.grants.refresh(context.app, context.required("refresh_token"))
    return {"token_result": token_result(context.sandbox.issued(pair, refreshed=True))}


def _sec_token(context: Context) -> Mapping[str, Any]:
    # observed: on the API's page, whose sample calls an error 200 and has no token in it.
    ids = [context.params.get(name, "").strip() for name in ("oeid", "ieid", "open_id")]
    if not any(ids):
        return {"result_code": "200", "token": "token", "result_msg": "token参数有误"}
    number = seeded_number(f"sec {context.app.key} {ids}", 24)
    return {"result_code": "200", "token": f"sec-{number:024}", "result_msg": "success"}


TOKEN_APIS: Final[Mapping[str, Api]] = {
    "taobao.top.auth.token.create": Api(_create, needs_token=False, reads_token=False),
    "taobao.top.auth.token.refresh": Api(
        _refresh, needs_token=False, reads_token=False, refreshes=True
    ),
    "taobao.top.sec.token.get": Api(_sec_token, needs_token=False),
}
