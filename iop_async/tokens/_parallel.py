"""The same work for many items, so many at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def for_each(
    items: AsyncIterator[T] | Iterable[T],
    work: Callable[[T], Awaitable[object]],
    *,
    limit: int,
) -> None:
    """Do the work for every item; ``items`` is asked for the next when there is room for it."""
    waiting = items if isinstance(items, AsyncIterator) else _one_by_one(items)
    turn = anyio.Lock(fast_acquire=True)
    is_over = False

    async def go_on() -> None:
        nonlocal is_over
        while True:
            async with turn:
                if is_over:
                    return
                try:
                    item = await anext(waiting)
                except StopAsyncIteration:
                    is_over = True
                    return
            await work(item)

    async with anyio.create_task_group() as tasks:
        for _ in range(limit):
            tasks.start_soon(go_on)


async def _one_by_one(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
