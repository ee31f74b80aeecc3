"""Reading on past records that cannot be read, and raising one error for them at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final, Generic, TypeVar

from ._exceptions import StoreError

A = TypeVar("A")
B = TypeVar("B")

_MAX_NAMED: Final = 5


class UnreadableRecords(StoreError):
    """Some records cannot be read. All others came before it, and it names the first of these."""

    failures: Failures


class MapCollectingErrors(AsyncIterator[B], Generic[A, B]):
    """``decode`` of each item; after them, one ``StoreError`` for all of which it raised one.

    What the items raise in the same way at their own end is told together with it.

    Not a generator: one that is left early must be closed, by its own event loop.
    """

    def __init__(self, decode: Callable[[A], B], items: AsyncIterator[A]) -> None:
        self._decode = decode
        self._items = items
        self._failures = Failures()

    async def __anext__(self) -> B:
        try:
            async for item in self._items:
                try:
                    return self._decode(item)
                except StoreError as error:
                    self._failures.add(error)
        except UnreadableRecords as error:
            self._failures.add(error)
        failures, self._failures = self._failures, Failures()
        failures.throw()
        raise StopAsyncIteration


class Failures:
    """Counts errors, and remembers the words of the first few."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def add(self, error: StoreError) -> None:
        """Add one, or those that it stands for."""
        if isinstance(error, UnreadableRecords):
            self._first += error.failures._first
            self._count += error.failures._count
        else:
            self._first.append(str(error))
            self._count += 1
        del self._first[_MAX_NAMED:]

    def throw(self) -> None:
        """Raises ``StoreError`` if there was an error."""
        if self._count:
            left = self._count - len(self._first)
            more = f"; and {left} more" if left else ""
            msg = f"{self._count} cannot be read: {'; '.join(self._first)}{more}"
            error = UnreadableRecords(msg, retryable=False)
            error.failures = self
            raise error
