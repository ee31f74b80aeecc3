"""Reading many records of which some cannot be decrypted."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Final, Self

from ..._exceptions import StoreError
from ..._records import Record

_log = logging.getLogger("iop_async.stores")

_REMEMBERED: Final = 10_000


class Opened(AsyncIterator[Record]):
    """Records as they were before they were sealed; after them, one error for all that failed."""

    def __init__(
        self, records: AsyncIterator[Record], open_one: Callable[[Record], Record]
    ) -> None:
        self._records = records
        self._open = open_one
        self._failures = Failures()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        async for record in self._records:
            try:
                return self._open(record)
            except StoreError as error:
                self._failures.add(error)
        failures, self._failures = self._failures, Failures()
        failures.throw()
        raise StopAsyncIteration


class Failures:
    """Counts errors, and remembers the first."""

    def __init__(self) -> None:
        self._first: StoreError | None = None
        self._count = 0

    def add(self, error: StoreError) -> None:
        """One more."""
        self._first = self._first or error
        self._count += 1

    def throw(self) -> None:
        """Raises ``StoreError`` if there was an error."""
        if self._first is not None:
            error = StoreError(f"{self._count} cannot be decrypted; one of them: {self._first}")
            error.retryable = False
            raise error


class PassedOver:
    """Logs that a record cannot be decrypted: once, for as long as it is as it is."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, int]] = set()

    def tell(self, record: Record, error: StoreError) -> None:
        """Log it, unless that was done."""
        what = (record.scope, record.seller, record.revision)
        if what not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known.add(what)
            _log.error("a record that is due is passed over: %s", error)
