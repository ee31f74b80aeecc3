"""TOP: the security token of a device, and the tokens of TOP sellers.

Example::

    async with iop.Client(app, iop.gateways.TAOBAO) as client:
        token = await iop.top.create_token(client, code=code)
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs
from attrs import field, frozen

from .._codes import TOP
from .._json import JsonRefused, loads
from .._models import Call, Reply, Token
from .._redact import Secret
from .._refusals import api_error
from .._scrub import scrubs_frames
from .._wire import HttpResponse
from ..protocols import Caller
from ._token_answer import parse_token, require_secret, text_of, trade


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

    Example::

        async with iop.Client(app, iop.gateways.TAOBAO_SEC) as client:
            answer = await iop.top.sec_token_get(client, open_id="123")
        print(answer.result_code, answer.result_msg)
    """

    result_code: str | None
    token: str | None = field(repr=False)
    result_msg: str | None


@scrubs_frames
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

    Example::

        async with iop.Client(app, iop.gateways.TAOBAO_SEC) as client:
            answer = await iop.top.sec_token_get(client, oeid="1", ieid="2", open_id="3")
    """
    # The page of this API: all three are optional.
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


@scrubs_frames
async def create_token(caller: Caller, *, code: str, uuid: str | None = None) -> Token:
    """Trade an authorization code for a grant (``taobao.top.auth.token.create``).

    Args:
        caller: any caller of a TOP gateway.
        code: from the callback; it works once.
        uuid: the one given to the authorize page, if one was.

    Raises:
        AuthError: the code is not (or no longer) good.
        IopError: whatever else went wrong.

    Example::

        async with iop.Client(app, iop.gateways.TAOBAO) as client:
            token = await iop.top.create_token(client, code=code)
    """
    # observed: what a client in use passes; nothing says that uuid breaks it, as IOP's does.
    params = {"code": require_secret("code", code), "uuid": uuid}
    return await _trade(caller, "taobao.top.auth.token.create", params)


@scrubs_frames
async def refresh_token(caller: Caller, *, refresh_token: str) -> Token:
    """Trade a refresh token for a new pair (``taobao.top.auth.token.refresh``).

    TOP kills the old refresh token at once: store the new pair before using it.

    Raises:
        AuthError: the refresh token is spent or expired; the seller must authorize again.
        IopError: whatever else went wrong; where ``may_have_been_applied`` is set, the refresh
            token may be spent although no answer came.

    Example::

        async with iop.Client(app, iop.gateways.TAOBAO) as client:
            token = await iop.top.refresh_token(client, refresh_token=token.refresh_token)
    """
    # observed: a client of TOP's in use says that the old token is invalid from then on.
    params = {"refresh_token": require_secret("refresh_token", refresh_token)}
    return await _trade(caller, "taobao.top.auth.token.refresh", params)


async def _trade(caller: Caller, api: str, params: Mapping[str, object]) -> Token:
    return await trade(caller, api, params, partial(_parse, Call(api, params)))


def _parse(call: Call, reply: Reply) -> Token:
    """TOP puts the token into ``token_result``, as a JSON string or, at times, an object."""
    result = _token_result(reply.data)
    if isinstance(result, Mapping) and "access_token" not in result:
        _raise_refusal(call, reply, result)
    return parse_token(attrs.evolve(reply, data=result))


def _token_result(data: object) -> object:
    # observed: a JSON text in most answers, an object in some.
    result: Any = data.get("token_result") if isinstance(data, Mapping) else None
    if isinstance(result, str):
        try:
            return loads(result)
        except JsonRefused:
            return None
    return result


def _raise_refusal(call: Call, reply: Reply, result: Mapping[str, Any]) -> None:
    """Raise the error that stands in the place of the token, if one does."""
    # observed: a refusal of TOP's token APIs inside token_result; its names are assumed.
    error = result.get("error_response", result)
    fields = error if isinstance(error, Mapping) else {}
    text = {name: text_of(value) or "" for name, value in fields.items()}
    code = text.get("code") or text.get("error_code") or text.get("error")
    if code and code != "0":
        words = (text.get(name) for name in ("msg", "message", "error_msg", "error_description"))
        raise api_error(
            TOP,
            call,
            reply.response or HttpResponse(200, {}, b""),
            code,
            next(filter(None, words), ""),
            sub_code=text.get("sub_code"),
            sub_message=text.get("sub_msg"),
            request_id=reply.request_id,
            body=reply.body,
        )
