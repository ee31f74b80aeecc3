"""What may happen once: told apart in this process, and across processes by their store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final

import anyio

from ..._exceptions import StaleRecord, StoreError
from ..._logs import own_logger
from ..._records import Record
from ...protocols import TokenStore

_log = own_logger("iop_async.web")

_STORE_TIMEOUT: Final = 10.0
"""Seconds that the store may take to say whether another process was first."""

_SWEEP_PAUSE: Final = timedelta(minutes=1)
_SWEEP_LIMIT: Final = 200


class Once:
    """Says of each key to one asker alone that it is the first, until the key expires.

    A key is a record in a scope of its own, which no two processes can create: what every store
    promises of records is all that this needs. Where the store fails, this process alone is asked.

    Args:
        store: of all processes among which it is told.
        scope: keeps the keys apart from grants, and from those of other purposes.
        now: the time (aware).
        limit: keys that this process remembers.
    """

    def __init__(
        self, store: TokenStore, *, scope: str, now: Callable[[], datetime], limit: int = 100_000
    ) -> None:
        self._store = store
        self._scope = scope
        self._now = now
        self._limit = limit
        self._seen: OrderedDict[str, datetime] = OrderedDict()
        self._swept_at: datetime | None = None

    def is_known(self, key: str) -> bool:
        """Whether this process has seen the key; asks nobody else."""
        expires_at = self._seen.get(key)
        return expires_at is not None and self._now() < expires_at

    def note(self, key: str, expires_at: datetime) -> None:
        """Remember it in this process."""
        self._seen[key] = expires_at
        while len(self._seen) > self._limit:
            self._seen.popitem(last=False)

    async def spend(self, key: str, expires_at: datetime) -> bool:
        """Whether nobody spent it before, in this process or another."""
        if self.is_known(key):
            return False
        self.note(key, expires_at)
        return await self.is_first(key, expires_at)

    async def is_first(self, key: str, expires_at: datetime) -> bool:
        """Whether no other process was asked before; told to one of them, whoever ask at once."""
        record = Record(
            scope=self._scope,
            seller_id=key,
            seller_ids=(key,),
            due_at=expires_at,
            dies_at=expires_at,
            body=token_hex(16).encode(),  # nobody else's write is taken for this one
        )
        try:
            with anyio.fail_after(_STORE_TIMEOUT):
                await self._store.put(record)
                await self._sweep()
        except StaleRecord:
            return False
        except (StoreError, TimeoutError) as error:
            _log.warning(
                "the store does not say whether another process was first (%s); this one was",
                type(error).__name__,
            )
        return True

    async def forget(self, key: str) -> None:
        """It may happen after all."""
        self._seen.pop(key, None)
        try:
            with anyio.move_on_after(_STORE_TIMEOUT):
                await self._store.remove(self._scope, key)
        except StoreError as error:
            _log.warning("the store did not forget a key (%s)", type(error).__name__)

    async def _sweep(self) -> None:
        """Remove what has expired, a part of it now and then."""
        now = self._now()
        if self._swept_at is not None and now - self._swept_at < _SWEEP_PAUSE:
            return
        self._swept_at = now
        expired = await self._store.claim(
            self._scope, due_by=now, limit=_SWEEP_LIMIT, holder=token_hex(8), seconds=30.0
        )
        for record in expired:
            await self._store.remove(self._scope, record.seller_id)
        if len(expired) == _SWEEP_LIMIT:
            self._swept_at = None
