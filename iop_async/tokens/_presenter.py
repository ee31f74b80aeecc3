"""The one request that spends a refresh token, and what is known when it is over."""

from __future__ import annotations

from time import monotonic
from typing import Final, TypeAlias

from attrs import frozen

from .._client import Client
from .._clock import Clock
from .._exceptions import IopError, Throttled, TransportError
from .._models import Token
from .._refresh import RefreshPolicy
from ..calling import RateLimiter
from ..protocols import TokenEndpoints
from ._grant import Grant
from ._presentations import Presentations
from ._transitions import is_for_others
from ._vault import Vault

_MAX_ATTEMPTS: Final = 8
"""Presentations of one refresh in the face of bans, each of which it waited out."""


@frozen
class NotSent:
    """Nothing was presented: the gate is shut, or the lease was over before it could be sent.

    It says nothing of the gateway, and the intent is taken back.
    """

    error: IopError


Answer: TypeAlias = Token | Grant | NotSent | Exception


class Presenter:
    """Presents refresh tokens to the gateway, as fast as it takes them.

    Args:
        presentations: judge what the gateway answers to all sellers; theirs is the gate.
    """

    def __init__(
        self,
        client: Client,
        endpoints: TokenEndpoints,
        vault: Vault,
        *,
        policy: RefreshPolicy,
        clock: Clock,
        rate: RateLimiter,
        presentations: Presentations,
    ) -> None:
        self._client = client
        self._endpoints = endpoints
        self._vault = vault
        self._policy = policy
        self._clock = clock
        self._rate = rate
        self._presentations = presentations
        self._gate = presentations.gate

    async def present(self, grant: Grant, *, by_hand: bool) -> Answer:
        """The new pair, or why there is none; a newer grant where another process had an answer."""
        banned: Throttled | None = None
        for _ in range(_MAX_ATTEMPTS):
            answer = await self._present_once(grant, by_hand=by_hand)
            if banned is not None and isinstance(answer, NotSent):
                return banned
            if isinstance(answer, Token) and not is_for_others(grant, answer):
                self._presentations.accepted(grant.seller_id)
            elif isinstance(answer, IopError):
                self._presentations.failed(grant, answer)
            if not isinstance(answer, Throttled) or answer.may_have_been_applied:
                return answer
            banned = answer  # what is banned for seconds waits in line, and is presented again
        return answer

    async def _present_once(self, grant: Grant, *, by_hand: bool) -> Answer:
        is_in_flight = False
        # those who wait for a token go by turns with all that is merely due
        freshness = self._policy.freshness(grant.token, self._clock.now())
        try:
            async with self._gate.passage(by_hand=by_hand, party=freshness):
                is_in_flight = True
                await self._rate.wait()
                if grant.intent is not None and grant.intent.is_probe:
                    # Whoever presented it before may be alive: its lease ran out, and its answer
                    # came after the look at the store that this probe was decided by.
                    current = await self._vault.load(grant.seller_id)
                    if current is not None and current.age > grant.age:
                        return current
                caller = self._client._sending_before(self._vault.leases.ends_at(grant))
                return await self._endpoints.refresh_token(
                    caller, refresh_token=grant.token.refresh_token or ""
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, the grant must not look unspent
            if isinstance(error, IopError) and not is_in_flight:
                return NotSent(error)
            if isinstance(error, TransportError) and self._was_late(grant, error):
                return NotSent(error)
            return error

    def _was_late(self, grant: Grant, error: TransportError) -> bool:
        end = self._vault.leases.ends_at(grant)
        return not error.may_have_been_applied and end is not None and end <= monotonic()
