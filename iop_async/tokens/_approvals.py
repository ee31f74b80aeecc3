"""What sellers have just granted, which replaces whatever there was."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import anyio

from .._models import Token
from .._values import changed
from ._grant import Grant, newest, seller_ids_of
from ._stored import Stored
from ._transitions import authorized, split_off
from ._unpersisted import KEEP_TIMEOUT, Unpersisted

Succeeds: TypeAlias = Callable[[Token, list[Grant]], bool]


class Approvals:
    """Keeps new grants so that none is lost: in the store, or else in the journal and in memory."""

    def __init__(self, scope: str, stored: Stored, unpersisted: Unpersisted) -> None:
        self._scope = scope
        self._stored = stored
        self._unpersisted = unpersisted

    async def keep(self, token: Token, *, succeeds: Succeeds | None = None) -> Grant:
        """Keep what a seller has just granted: it replaces whatever there was.

        Args:
            succeeds: whether it may replace what there is, which else stays, and is returned. Where
                the store does not say what it has, the token is only for sellers that it lacks.
        """
        with anyio.CancelScope(shield=True):  # its code is spent
            grant = await self._keep(token, succeeds)
        return grant  # noqa: RET504 - for type checkers a scope may end early

    async def _keep(self, token: Token, succeeds: Succeeds | None) -> Grant:
        waiting = self._unpersisted.find(seller_ids_of(token))
        if waiting is not None and succeeds is not None and not succeeds(token, [waiting]):
            return waiting

        def approved(stored: list[Grant]) -> Grant | None:
            if succeeds is not None and not succeeds(token, stored):
                return None
            return authorized(self._scope, token, newest(waiting, *stored))

        grant = authorized(self._scope, token, waiting)
        superseded = waiting
        if waiting is not None and (others := split_off(waiting, grant)) is not None:
            await self._unpersisted.add(others)
            superseded = None if others.seller_id == waiting.seller_id else waiting
        try:
            with anyio.fail_after(KEEP_TIMEOUT):
                async with self._unpersisted.approvals:
                    written = await self._stored.replace(seller_ids_of(token), approved)
        except (Exception, anyio.get_cancelled_exc_class()) as error:  # noqa: BLE001 - as in Vault.keep
            if succeeds is not None and waiting is None:
                grant = changed(grant, epoch=1)  # any that the store turns out to have is later
            await self._unpersisted.spill(grant, error)
            return grant
        if superseded is not None:
            await self._unpersisted.discard(superseded)
        return written
