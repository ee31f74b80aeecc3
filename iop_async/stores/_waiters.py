"""What a task waits at until a thread has done something for it, in whatever event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeAlias

import anyio
from anyio.lowlevel import current_token

CallInLoop: TypeAlias = Callable[[Callable[[], object]], object]


class Waiter(Protocol):
    """Where the task that made it waits until somebody wakes it.

    Attributes:
        call_in_loop: calls a function in the event loop of the task, from any thread.
    """

    call_in_loop: CallInLoop

    def wait(self) -> Awaitable[object]: ...

    def wake(self) -> None: ...


class _AsyncioWaiter:
    """A future: an event that works under any event loop costs a job twice as much."""

    __slots__ = ("_woken", "call_in_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.call_in_loop: CallInLoop = loop.call_soon_threadsafe
        self._woken: asyncio.Future[None] = loop.create_future()

    def wait(self) -> Awaitable[object]:
        return self._woken

    def wake(self) -> None:
        if not self._woken.done():  # else the task was cancelled
            self._woken.set_result(None)


class _TrioWaiter:
    __slots__ = ("_woken", "call_in_loop")

    def __init__(self) -> None:
        token: Any = current_token()
        self.call_in_loop: CallInLoop = token.native_token.run_sync_soon
        self._woken = anyio.Event()

    def wait(self) -> Awaitable[object]:
        return self._woken.wait()

    def wake(self) -> None:
        self._woken.set()


def waiter_here() -> Waiter:
    """A waiter for the task that asks."""
    try:
        # a loop may also be there where trio runs as its guest, but then no task of it
        if (task := asyncio.current_task()) is not None:
            return _AsyncioWaiter(task.get_loop())
    except RuntimeError:
        pass
    return _TrioWaiter()
