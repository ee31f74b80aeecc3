"""Tokens of the IOP family: trade a code for a grant, and a grant for its successor.

A refresh answers a *new* refresh token too; the old one may be dead from then on, so store the new
pair before using it. The lifetime of the access token starts anew, that of the refresh token does
not.

Example::

    token = await iop.auth.create_token(client, code=code)
    token = await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
"""

from __future__ import annotations

import warnings

from .._models import Token
from .._scrub import scrubs_frames
from ..protocols import Caller
from ._token_answer import (
    doubtful_lifetimes,
    parse_token,
    recover_token,
    require_secret,
    trade,
)

__all__ = [
    "create_security_token",
    "create_token",
    "doubtful_lifetimes",
    "recover_token",
    "refresh_security_token",
    "refresh_token",
]


@scrubs_frames
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

    Example::

        token = await iop.auth.create_token(client, code=code)
        print(token.sellers, token.expires_at)
    """
    # The guides of TaoWorld, Lazada and Daraz: 30 minutes; AliExpress's page 3, an older guide 30.
    code = require_secret("code", code)
    return await _create(caller, "/auth/token/create", code, uuid)


@scrubs_frames
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

    Example::

        token = await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
    """
    refresh_token = require_secret("refresh_token", refresh_token)
    # 108260: a refresh answers a new refresh token; whether the old one lives on is nowhere said.
    # 108260, and two answers of Lazada's: its lifetime goes on; 121098 tells the opposite.
    params = {"refresh_token": refresh_token}
    return await trade(caller, "/auth/token/refresh", params, parse_token)


@scrubs_frames
async def create_security_token(caller: Caller, *, code: str, uuid: str | None = None) -> Token:
    """:func:`create_token` through AliExpress's ``/auth/token/security/create``.

    Example::

        token = await iop.auth.create_security_token(client, code=code)
    """
    # observed: in AliExpress's list of APIs; in what it differs from the other no page says.
    code = require_secret("code", code)
    return await _create(caller, "/auth/token/security/create", code, uuid)


@scrubs_frames
async def refresh_security_token(caller: Caller, *, refresh_token: str) -> Token:
    """:func:`refresh_token` through AliExpress's ``/auth/token/security/refresh``.

    Example::

        refresh_token = token.refresh_token
        token = await iop.auth.refresh_security_token(client, refresh_token=refresh_token)
    """
    refresh_token = require_secret("refresh_token", refresh_token)
    params = {"refresh_token": refresh_token}
    return await trade(caller, "/auth/token/security/refresh", params, parse_token)


async def _create(caller: Caller, api: str, code: str, uuid: str | None) -> Token:
    # AliExpress's page of this endpoint: it "can cause this error"; Lazada's: "currently invalid".
    if uuid is not None:
        warnings.warn(
            f"{api} answers InvalidCode when uuid is passed; leave it out",
            UserWarning,
            stacklevel=4,
        )
    return await trade(caller, api, {"code": code, "uuid": uuid}, parse_token)
