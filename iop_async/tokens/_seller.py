"""A caller for a managed seller: its token is always a good one."""

from __future__ import annotations

from collections.abc import Awaitable
from math import inf
from typing import Final, Protocol, TypeVar

import anyio
from attrs import evolve

from .._caller import CallerMixin
from .._client import Client
from .._exceptions import AuthError, TransportTimeout
from .._models import Call, Reply, Token
from ..calling import RateLimiter

T = TypeVar("T")

_NO_TIME: Final = 0.001
"""Seconds for a call where there are none left: it takes 0 for no limit."""


class _Tokens(Protocol):
    def token(self, seller_id: str) -> Awaitable[Token]: ...

    def replace(self, seller_id: str, *, rejected: str) -> Awaitable[Token]: ...


class ManagedSeller(CallerMixin):
    """Calls for a seller, once more where the gateway refused the access token.

    A refused token is refreshed only if it is still the newest: a hundred calls that fail with
    the same one make one refresh. A call refused for its token was not applied, so it is repeated
    whether or not it is idempotent.
    """

    def __init__(self, client: Client, tokens: _Tokens, seller_id: str, rate: RateLimiter) -> None:
        self._client = client
        self._tokens = tokens
        self._seller = seller_id
        self._rate = rate

    async def _run(self, call: Call) -> Reply:
        ends = inf if call.timeout is None else anyio.current_time() + call.timeout
        token = await _before(ends, self._tokens.token(self._seller))
        try:
            return await self._send(call, token, ends)
        except AuthError as error:
            if not error.access_token_rejected:
                raise
            replaced = self._tokens.replace(self._seller, rejected=token.access_token)
            newer = await _before(ends, replaced)
            if newer.access_token == token.access_token:
                raise
        return await self._send(call, newer, ends)

    async def _send(self, call: Call, token: Token, ends: float) -> Reply:
        await _before(ends, self._rate.wait())
        left = None if ends == inf else max(ends - anyio.current_time(), _NO_TIME)
        return await self._client._run(evolve(call, access_token=token.access_token, timeout=left))


async def _before(ends: float, awaited: Awaitable[T]) -> T:
    """What is waited for, within the call's time; a refresh goes on without its waiter."""
    if ends == inf:
        return await awaited
    with anyio.CancelScope(deadline=ends):
        return await awaited
    msg = "not sent: the call's time was over before there was a token, or its turn came"
    raise TransportTimeout(msg, may_have_been_applied=False)
