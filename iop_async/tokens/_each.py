"""Turn the items of an asynchronous iterator into others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Each(AsyncIterator[B], Generic[A, B]):
    """``turn`` of each item.

    Not a generator: one that is left early must be closed, by its own event loop.
    """

    def __init__(self, turn: Callable[[A], B], items: AsyncIterator[A]) -> None:
        self._turn = turn
        self._items = items

    async def __anext__(self) -> B:
        return self._turn(await anext(self._items))
