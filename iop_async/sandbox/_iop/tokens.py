"""IOP's token endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .._apis import Api, Context, Run
from .._refusals import Refusal


def _create(context: Context) -> Mapping[str, Any]:
    code = context.required("code")
    if context.params.get("uuid", "").strip():
        raise Refusal("InvalidCode")
    pair = context.sandbox.grants.redeem(context.app, code)
    return context.sandbox.token_answer(pair)


def _create_with_open_id(context: Context) -> Mapping[str, Any]:
    answer = _create(context)
    return {**answer, "open_id": f"open-{answer['account']}"}


def _refresh(context: Context) -> Mapping[str, Any]:
    token = context.required("refresh_token")
    pair = context.sandbox.grants.refresh(context.app, token)
    return context.sandbox.token_answer(pair, refreshed=True)


def _open(run: Run, *, refreshes: bool = False) -> Api:
    return Api(run, needs_token=False, reads_token=False, refreshes=refreshes)


TOKEN_APIS: Final[Mapping[str, Api]] = {
    "/auth/token/create": _open(_create),
    "/auth/token/createWithOpenId": _open(_create_with_open_id),
    "/auth/token/security/create": _open(_create),
    "/auth/token/refresh": _open(_refresh, refreshes=True),
    "/auth/token/security/refresh": _open(_refresh, refreshes=True),
}
