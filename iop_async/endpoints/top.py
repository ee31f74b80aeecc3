"""TOP: the security token of a device, and the tokens of TOP sellers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import attrs
from attrs import field, frozen

from .._models import Reply, Token
from .._redact import Secret
from ..protocols import Caller
from ._token_answer import hidden, parse_token


@frozen
class SecToken:
    """The answer of ``taobao.top.sec.token.get``: look at ``result_code`` before the token.

    The gateway calls an answer a success although the service behind it refused: the platform's
    own sample pairs ``result_code="200"`` with an error text and no usable token. Nothing documents
    which codes are good ones, so none is raised as an error here.

    Attributes:
        result_code: the service's code, as text.
        token: the security token, as the service gave it.
        result_msg: the service's words, of a failure mostly.
    """

    result_code: str | None
    token: str | None = field(repr=False)
    result_msg: str | None


async def sec_token_get(
    caller: Caller,
    *,
    oeid: str | None = None,
    ieid: str | None = None,
    open_id: str | None = None,
) -> SecToken:
    """The security token of a device (``taobao.top.sec.token.get``, at ``TAOBAO_SEC``).

    Args:
        oeid, ieid: ids that the client-side framework hands over.
        open_id: the user's open id.

    Raises:
        IopError: whatever went wrong before the service was reached.
    """
    reply = await caller.call(
        "taobao.top.sec.token.get",
        {"oeid": oeid, "ieid": ieid, "open_id": open_id},
        idempotent=True,
    )
    answer = reply.data if isinstance(reply.data, Mapping) else {}
    code, token, message = (
        None if answer.get(name) is None else str(answer[name])
        for name in ("result_code", "token", "result_msg")
    )
    return SecToken(code, None if token is None else Secret(token), message)


async def create_token(caller: Caller, *, code: str, uuid: str | None = None) -> Token:
    """Trade an authorization code for a grant (``taobao.top.auth.token.create``).

    Args:
        caller: any caller of a TOP gateway.
        code: from the callback; it works once.
        uuid: the one given to the authorize page, if one was.

    Raises:
        AuthError: the code is not (or no longer) good.
        IopError: whatever else went wrong.
    """
    params = {"code": hidden("code", code), "uuid": uuid}
    del code
    reply = await caller.call("taobao.top.auth.token.create", params, idempotent=False)
    return _parse(reply)


async def refresh_token(caller: Caller, *, refresh_token: str) -> Token:
    """Trade a refresh token for a new pair (``taobao.top.auth.token.refresh``).

    TOP kills the old refresh token at once: store the new pair before using it.

    Raises:
        AuthError: the refresh token is spent or expired; the seller must authorize again.
        IopError: whatever else went wrong; where ``may_have_been_applied`` is set, the refresh
            token may be spent although no answer came.
    """
    params = {"refresh_token": hidden("refresh_token", refresh_token)}
    del refresh_token
    reply = await caller.call("taobao.top.auth.token.refresh", params, idempotent=False)
    return _parse(reply)


_COMMON_NAMES = {
    "refresh_expires_in": "re_expires_in",
    "seller_id": "taobao_user_id",
    "user_id": "taobao_user_id",
}
"""What the rest of the platform calls TOP's fields."""


def _parse(reply: Reply) -> Token:
    """TOP puts the token into ``token_result``, as a JSON string or, at times, an object."""
    token = parse_token(attrs.evolve(reply, data=_with_common_names(_token_result(reply.data))))
    account = token.account or token.extra.get("taobao_user_nick")
    return attrs.evolve(token, account=unquote(account) if isinstance(account, str) else None)


def _token_result(data: object) -> object:
    result: Any = data.get("token_result") if isinstance(data, Mapping) else None
    if isinstance(result, str):
        try:
            return json.loads(result, strict=False)
        except (ValueError, RecursionError):
            return None
    return result


def _with_common_names(result: object) -> object:
    if not isinstance(result, Mapping):
        return result
    named = {ours: result[tops] for ours, tops in _COMMON_NAMES.items() if tops in result}
    return named | dict(result)
