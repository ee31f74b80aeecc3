"""The same work for many items, so many at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def for_each(
    take: Callable[[], Awaitable[T | None]],
    work: Callable[[T], Awaitable[object]],
    *,
    limit: int,
) -> None:
    """Do the work for every item until ``take`` has no more; it is asked by one task at a time.

    Raises what ``take`` raises, once the work under way is done.
    """
    turn = anyio.Lock(fast_acquire=True)
    ends: list[Exception | None] = []

    async def go_on() -> None:
        while True:
            async with turn:
                if ends:
                    return
                try:
                    item = await take()
                except Exception as error:  # noqa: BLE001 - raised where it is not in a group
                    ends.append(error)
                    return
                if item is None:
                    ends.append(None)
                    return
            await work(item)

    async with anyio.create_task_group() as tasks:
        for _ in range(limit):
            tasks.start_soon(go_on)
    if ends[0] is not None:
        raise ends[0]
