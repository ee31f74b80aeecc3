"""Reading many records a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Generic, Self, TypeVar

from .._records import Record

K = TypeVar("K")


class Pages(AsyncIterator[Record], Generic[K]):
    """All records, whose pages are read as they are needed.

    No generator, which would have to be closed by whoever leaves a loop early.

    Args:
        read: a page, and the key to read the next with; ``None`` after the last.
        first: the key of the first page.
    """

    def __init__(
        self, read: Callable[[K], Awaitable[tuple[Iterable[Record], K | None]]], first: K
    ) -> None:
        self._read = read
        self._key: K | None = first
        self._page: Iterator[Record] = iter(())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Record:
        while (record := next(self._page, None)) is None:
            if self._key is None:
                raise StopAsyncIteration
            page, self._key = await self._read(self._key)
            self._page = iter(page)
        return record
