"""Tokens of the IOP family: trade a code for a grant, and a grant for its successor.

A refresh answers a *new* refresh token too; the old one may be dead from then on, so store the new
pair before using it. The lifetime of the access token starts anew, that of the refresh token does
not.
"""

from __future__ import annotations

import warnings

from .._models import Token
from ..protocols import Caller
from ._token_answer import hidden, parse_token


async def create_token(caller: Caller, *, code: str, uuid: str | None = None) -> Token:
    """Trade an authorization code for a grant (``/auth/token/create``).

    Args:
        caller: any caller; the call is signed and carries no access token.
        code: from the callback. It lives 30 minutes (AliExpress: 3) and works once.
        uuid: documented, but the gateway answers ``InvalidCode`` wherever it is passed.

    Raises:
        AuthError: the code is expired, used, or of another app (``InvalidCode``), or this kind
            of app gets its tokens elsewhere (``AUTH_TYPE_UNSUPPORTED``).
        IopError: whatever else went wrong; see :mod:`iop_async._exceptions`.
    """
    code = hidden("code", code)
    return await _create(caller, "/auth/token/create", code, uuid)


async def refresh_token(caller: Caller, *, refresh_token: str) -> Token:
    """Trade a refresh token for a new pair (``/auth/token/refresh``).

    Args:
        caller: any caller; the call is signed and carries no access token.
        refresh_token: the newest one; presenting it may spend it. Only while its own lifetime,
            ``refresh_expires_in``, is above zero.

    Raises:
        AuthError: the refresh token is spent or expired (``IllegalRefreshToken``), or this app
            may not refresh (``AUTH_TYPE_UNSUPPORTED``): the seller must authorize again.
        IopError: whatever else went wrong; where ``may_have_been_applied`` is set, the refresh
            token may be spent although no answer came.
    """
    refresh_token = hidden("refresh_token", refresh_token)
    return await _refresh(caller, "/auth/token/refresh", refresh_token)


async def create_security_token(caller: Caller, *, code: str, uuid: str | None = None) -> Token:
    """:func:`create_token` through AliExpress's ``/auth/token/security/create``."""
    code = hidden("code", code)
    return await _create(caller, "/auth/token/security/create", code, uuid)


async def refresh_security_token(caller: Caller, *, refresh_token: str) -> Token:
    """:func:`refresh_token` through AliExpress's ``/auth/token/security/refresh``."""
    refresh_token = hidden("refresh_token", refresh_token)
    return await _refresh(caller, "/auth/token/security/refresh", refresh_token)


async def _create(caller: Caller, api: str, code: str, uuid: str | None) -> Token:
    if uuid is not None:
        warnings.warn(
            f"{api} answers InvalidCode when uuid is passed; leave it out",
            UserWarning,
            stacklevel=3,
        )
    return parse_token(await caller.call(api, {"code": code, "uuid": uuid}, idempotent=False))


async def _refresh(caller: Caller, api: str, refresh_token: str) -> Token:
    params = {"refresh_token": refresh_token}
    return parse_token(await caller.call(api, params, idempotent=False))
