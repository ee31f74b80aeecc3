"""IOP's token endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .._answers import Refusal
from .._apis import Api, Context, Run


def _create(context: Context) -> Mapping[str, Any]:
    code = context.required("code")
    # observed: AliExpress answers InvalidCode to a uuid, Lazada's page says not to send one.
    if context.params.get("uuid", "").strip():
        raise Refusal("InvalidCode")
    pair = context.sandbox.grants.redeem(context.app, code)
    return context.sandbox.token_answer(pair)


def _create_with_open_id(context: Context) -> Mapping[str, Any]:
    answer = _create(context)
    # assumed: the name of the id; the page of the API shows no answer.
    return {**answer, "open_id": f"open-{answer['account']}"}


def _refresh(context: Context) -> Mapping[str, Any]:
    token = context.required("refresh_token")
    pair = context.sandbox.grants.refresh(context.app, token)
    return context.sandbox.token_answer(pair, refreshed=True)


def _token_endpoint(run: Run, *, refreshes: bool = False) -> Api:
    return Api(run, needs_token=False, reads_token=False, refreshes=refreshes)


# observed: the first on every market, createWithOpenId on Lazada, security/* on AliExpress only.
TOKEN_APIS: Final[Mapping[str, Api]] = {
    "/auth/token/create": _token_endpoint(_create),
    "/auth/token/createWithOpenId": _token_endpoint(_create_with_open_id),
    "/auth/token/security/create": _token_endpoint(_create),
    "/auth/token/refresh": _token_endpoint(_refresh, refreshes=True),
    "/auth/token/security/refresh": _token_endpoint(_refresh, refreshes=True),
}
