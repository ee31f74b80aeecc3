"""Event loops: one value for each, however many threads and runs there are."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, Final, Generic, TypeVar

from anyio.lowlevel import EventLoopToken, current_token
from sniffio import thread_local

T = TypeVar("T")

_of_parents: Final[list[object]] = []
"""Values of the process that this one was forked from. Dropping them would close what is not ours
to close, and warn of it; so they stay as they are."""


_begun: Final[set[object]] = set()


class PerLoop(Generic[T]):
    """A value for each event loop that asks for one.

    Safe in threads without a lock: a loop runs in one thread, and touches its own entry only.

    Args:
        make: makes the value of the running event loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._values: dict[object, tuple[EventLoopToken, T]] = {}  # by the loop's own object
        self._process = os.getpid()

    def here(self) -> T:
        """That of the running event loop."""
        if self._process != os.getpid():
            _of_parents.append(self._values)
            self._values, self._process = {}, os.getpid()
        native = _loop_of_asyncio() or current_token().native_token
        found = self._values.get(native)
        if found is None:
            for other, (event_loop, _) in tuple(self._values.items()):
                if is_over(event_loop):
                    self._values.pop(other, None)
            found = self._values[native] = (current_token(), self._make())
        return found[1]

    def items(self) -> list[tuple[EventLoopToken, T]]:
        """All there are, each with its event loop."""
        return list(self._values.values()) if self._process == os.getpid() else []


def _loop_of_asyncio() -> asyncio.AbstractEventLoop | None:
    """The running event loop where that is asyncio's: a tenth of what it costs to ask anyio."""
    if thread_local.name is not None:  # trio says so in it, also where it is asyncio's guest
        return None
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_over(event_loop: EventLoopToken) -> bool:
    """Whether an event loop has ended for good."""
    native: Any = event_loop.native_token
    if hasattr(native, "is_closed"):  # asyncio's
        return bool(native.is_closed())
    try:
        native.run_sync_soon(bool, idempotent=True)
    except RuntimeError:  # trio.RunFinishedError
        return True
    return False


def start_in(event_loop: EventLoopToken, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Have another event loop run ``function`` as soon as it can; one that is over never will."""
    native: Any = event_loop.native_token

    def begin() -> None:
        task = native.create_task(function())
        _begun.add(task)  # asyncio itself does not keep it
        task.add_done_callback(_begun.discard)

    with suppress(RuntimeError):
        if hasattr(native, "call_soon_threadsafe"):
            # in a context of its own: that of trio would say that this is trio
            native.call_soon_threadsafe(begin, context=Context())
        else:
            native.run_sync_soon(sys.modules["trio"].lowlevel.spawn_system_task, function)
