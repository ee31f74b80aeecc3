"""What a task asks a thread to do, and how it learns what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import anyio
from anyio.lowlevel import current_token
from attrs import define, field

from .._exceptions import StoreError

T = TypeVar("T")
C = TypeVar("C")

_CallInLoop: TypeAlias = Callable[[Callable[[], object]], object]


def _caller_of_this_loop() -> _CallInLoop:
    token: Any = current_token()
    loop = getattr(token, "native_token", token)
    call: _CallInLoop = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
    return call


@define(eq=False)
class Job(Generic[C, T]):
    """Something to do with a resource ``C``, and what came of it.

    Make it in the task that waits for it.
    """

    operation: Callable[[C], T] = field(repr=False)
    done: anyio.Event = field(factory=anyio.Event, init=False)
    value: T | None = field(default=None, init=False, repr=False)
    error: BaseException | None = field(default=None, init=False)
    call_in_loop: _CallInLoop = field(factory=_caller_of_this_loop, init=False, repr=False)

    def succeed(self, value: T) -> None:
        """It was done; may still be followed by :meth:`fail`."""
        self.value = value

    def fail(self, error: BaseException) -> None:
        """It was not done. Our own errors lose the frames of the thread, whose locals tell much."""
        self.error = error.with_traceback(None) if isinstance(error, StoreError) else error


def wake(jobs: Iterable[Job[Any, Any]]) -> None:
    """Let those who wait for the jobs go on, each in its own event loop; from any thread."""
    by_loop: dict[_CallInLoop, list[anyio.Event]] = {}
    for job in jobs:
        by_loop.setdefault(job.call_in_loop, []).append(job.done)
    for call_in_loop, events in by_loop.items():
        with suppress(RuntimeError):  # that event loop has ended, and with it who waited there
            call_in_loop(partial(_set_all, events))


def _set_all(events: list[anyio.Event]) -> None:
    for event in events:
        event.set()
