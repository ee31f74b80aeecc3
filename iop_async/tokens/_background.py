"""Tasks that belong to an object and to no scope of its user.

A fixture of pytest-asyncio enters and leaves in different tasks, where a task group may not be
used; so a host task holds the group, started by the event loop itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import anyio
import sniffio
from anyio.abc import TaskGroup

Work: TypeAlias = Callable[[], Awaitable[Any]]


class Background:
    """Runs work until it is closed. Errors go to ``on_error``, never to the host application."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._tasks: TaskGroup | None = None
        self._running = 0
        self._idle = anyio.Event()
        self._stop = anyio.Event()
        self._stopped = anyio.Event()
        self._host: object = None

    async def start(self) -> None:
        """Start the host task."""
        ready = anyio.Event()
        if sniffio.current_async_library() == "trio":
            import trio

            trio.lowlevel.spawn_system_task(self._run, ready)
        else:
            import asyncio

            self._host = asyncio.get_running_loop().create_task(self._run(ready))
        await ready.wait()

    @property
    def is_alive(self) -> bool:
        """Whether the host task runs; an event loop that ended has taken it along."""
        return self._tasks is not None

    async def _run(self, ready: anyio.Event) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                ready.set()
                await self._stop.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self._stopped.set()

    def spawn(self, work: Work, *, drained: bool = True) -> None:
        """Run ``work``; :meth:`drain` waits for it if it is to be ``drained``."""
        if self._tasks is None:
            msg = "the token manager is not running; use it as 'async with TokenManager(...)'"
            raise RuntimeError(msg)
        self._running += drained
        self._tasks.start_soon(self._guarded, work, drained)

    async def _guarded(self, work: Work, drained: bool) -> None:  # noqa: FBT001 - start_soon has no keywords
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - it must not end the host application
            self._on_error(error)
        finally:
            self._running -= drained
            if not self._running:
                self._idle.set()

    async def drain(self, seconds: float) -> bool:
        """Wait for what runs; whether all of it ended in time."""
        with anyio.move_on_after(seconds):
            while self._running:
                self._idle = anyio.Event()
                await self._idle.wait()
        return not self._running

    async def aclose(self) -> None:
        """Cancel what still runs, and wait for its end."""
        if self._tasks is not None:
            self._stop.set()
            with anyio.CancelScope(shield=True):
                await self._stopped.wait()
