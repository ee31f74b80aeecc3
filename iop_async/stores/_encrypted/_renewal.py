"""Rewriting every record of a scope while others use them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final
from uuid import uuid4

import anyio
from attrs import Factory, frozen

from ..._collect_errors import Failures
from ..._exceptions import StaleRecord, StoreError
from ..._records import Record
from ...protocols import TokenStore

_LEASE_SECONDS: Final = 10.0
_POLL_PAUSE: Final = 0.1


@frozen
class Renewal:
    """Writes records anew, each under a lease: a refresh must not find its record changed.

    Attributes:
        renewed: what is written in the place of a record; ``None`` where it may stay as it is.
            Raises ``StoreError`` where that cannot be said.
    """

    store: TokenStore
    renewed: Callable[[Record], Record | None]
    holder: str = Factory(lambda: f"reencrypt-{uuid4().hex}")

    async def run(self, scope: str) -> int:
        """Write until nothing is left to be written; how many records were.

        Raises:
            StoreError: some cannot be renewed; all others are.
        """
        total = 0
        while True:
            found, written, failures = await self._pass(scope)
            total += written
            if not found:
                failures.throw()
                return total

    async def _pass(self, scope: str) -> tuple[int, int, Failures]:
        # What lost its name to another record meanwhile is met in the next pass.
        found = written = 0
        failures = Failures()
        async for record in self.store.records(scope):
            if self._fresh(record, failures) is not None:
                found += 1
                written += await self._write(scope, record.seller_id, failures)
        return found, written, failures

    def _fresh(self, record: Record, failures: Failures) -> Record | None:
        try:
            return self.renewed(record)
        except StoreError as error:
            failures.add(error)
            return None

    async def _write(self, scope: str, seller_id: str, failures: Failures) -> bool:
        while await self.store.get(scope, seller_id) is not None:
            record = await self.store.lease(
                scope, seller_id, holder=self.holder, seconds=_LEASE_SECONDS
            )
            if record is not None:
                fresh = self._fresh(record, failures)
                if fresh is None:
                    await self.store.lease(scope, seller_id, holder=self.holder, seconds=0)
                    return False
                with suppress(StaleRecord):
                    await self.store.put(fresh, release=self.holder)
                    return True
            await anyio.sleep(_POLL_PAUSE)
        return False
