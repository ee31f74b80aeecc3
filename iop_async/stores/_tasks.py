"""Tasks of a store, which do what it is asked to do in the place of those who ask.

A task that is cancelled in the middle of a statement leaves a connection of which nobody knows
what it will say next, and a write of which nobody knows whether it was made. So those who ask only
wait: cancelled, they take nothing back, and what they asked for is done all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

from .._exceptions import StoreError

T = TypeVar("T")

_CLOSE_TIMEOUT: Final = 20.0
"""Seconds that closing waits for what is being done. What is cut off then may have been done."""


class Tasks:
    """Owns the tasks of a store until it is closed.

    Args:
        where: what the store is connected to, for errors.
        library: what it is connected with, which runs under asyncio only.
    """

    def __init__(self, where: str, library: str) -> None:
        self._where = where
        self._library = library
        self._running: set[asyncio.Task[Any]] = set()
        self._closing: asyncio.Task[None] | None = None

    async def run(
        self,
        operation: Callable[[], Coroutine[Any, Any, T]],
        *,
        undo: Callable[[T], Coroutine[Any, Any, object]] | None = None,
    ) -> T:
        """Have ``operation`` done and return what it returned.

        Args:
            undo: done afterwards where the caller was cancelled while it waited.
        """
        self.require_asyncio()
        if self._closing is not None:
            msg = f"{self._where}: this store is closed; make a new one"
            raise StoreError(msg)
        task = self._start(operation())
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            if undo is not None:
                self._start(_undo(task, undo))
            raise
        if task.cancelled():
            msg = f"{self._where}: the store was closed before this was done; it may have been done"
            raise StoreError(msg)
        try:
            return task.result()
        except StoreError as error:
            # the frames that it came through hold the bodies of records
            raise error.with_traceback(None) from None
        finally:
            del task  # or the traceback and the error would hold each other

    def require_asyncio(self) -> None:
        """Raises ``RuntimeError`` where another event loop runs."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            return
        msg = f"{self._where}: {self._library} runs under asyncio only; under trio use SQLiteStore"
        raise RuntimeError(msg)

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # somebody has seen it, or was cancelled and does not want to

    async def aclose(self, release: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let what was begun be done, then ``release`` what it was done with. Again: nothing."""
        self.require_asyncio()
        loop = asyncio.get_running_loop()
        if self._closing is None:
            self._closing = loop.create_task(self.finish(release))
        if self._closing.get_loop() is loop:
            await asyncio.wait((self._closing,))

    async def finish(self, release: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let what was begun in this event loop be done, then ``release``."""
        loop = asyncio.get_running_loop()
        # at one stroke: other event loops begin theirs meanwhile, in threads
        while ours := {task for task in tuple(self._running) if task.get_loop() is loop}:
            _, late = await asyncio.wait(ours, timeout=_CLOSE_TIMEOUT)
            for task in late:
                task.cancel()
        await release()


async def _undo(task: asyncio.Task[T], undo: Callable[[T], Coroutine[Any, Any, object]]) -> None:
    await asyncio.wait((task,))
    if not task.cancelled() and task.exception() is None:
        with suppress(StoreError):  # the lease that nobody knows of runs out by itself
            await undo(task.result())
