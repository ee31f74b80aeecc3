"""A caller for a managed seller: its token is always a good one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from attrs import evolve

from .._client import CallerMixin, Client
from .._exceptions import AuthError
from .._models import Call, Reply, Token
from ._rate import Rate


class _Tokens(Protocol):
    def token(self, seller: str) -> Awaitable[Token]: ...

    def replace(self, seller: str, *, rejected: str) -> Awaitable[Token]: ...


class ManagedSeller(CallerMixin):
    """Calls for a seller, once more where the gateway refused the access token.

    A refused token is refreshed only if it is still the newest: a hundred calls that fail with
    the same one make one refresh. A call refused for its token was not applied, so it is repeated
    whether or not it is idempotent.
    """

    def __init__(self, client: Client, tokens: _Tokens, seller: str, rate: Rate) -> None:
        self._client = client
        self._tokens = tokens
        self._seller = seller
        self._rate = rate

    async def _run(self, call: Call) -> Reply:
        token = await self._tokens.token(self._seller)
        try:
            return await self._send(call, token)
        except AuthError as error:
            if not error.access_token_rejected:
                raise
            newer = await self._tokens.replace(self._seller, rejected=token.access_token)
            if newer.access_token == token.access_token:
                raise
        return await self._send(call, newer)

    async def _send(self, call: Call, token: Token) -> Reply:
        await self._rate.wait()
        return await self._client._run(evolve(call, access_token=token.access_token))
