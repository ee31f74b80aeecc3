"""Reading many records of which some cannot be read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Generic, Self, TypeVar

from ._exceptions import StoreError

A = TypeVar("A")
B = TypeVar("B")


class Each(AsyncIterator[B], Generic[A, B]):
    """``turn`` of each item; after them, one ``StoreError`` for all of which it raised one.

    Not a generator: one that is left early must be closed, by its own event loop.
    """

    def __init__(self, turn: Callable[[A], B], items: AsyncIterator[A]) -> None:
        self._turn = turn
        self._items = items
        self._failures = Failures()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> B:
        async for item in self._items:
            try:
                return self._turn(item)
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
            error = StoreError(f"{self._count} cannot be read; one of them: {self._first}")
            error.retryable = False
            raise error
