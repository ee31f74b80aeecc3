"""Single flight, one refresh per seller whoever waits for it; and the tasks that hold them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Literal, TypeAlias

import anyio
import sniffio
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken, cancel_shielded_checkpoint, current_token
from attrs import define, field

from .._exceptions import TokenError
from .._http.loops import is_over
from .._logs import own_logger
from ._grant import Grant

Work: TypeAlias = Callable[[], Awaitable[object]]
Refresh: TypeAlias = Callable[[], Awaitable[Grant]]
Place: TypeAlias = Literal["here", "elsewhere", "over", "forked"]

_log = own_logger("iop_async.tokens")

_NAME: Final = "iop_async token manager"

_RESTART_PAUSE: Final = 1.0
"""Seconds before what ended unexpectedly is begun again."""


@define(eq=False)
class Flight:
    """A refresh under way."""

    _landed: anyio.Event = field(factory=anyio.Event, init=False)
    _outcome: Grant | Exception | None = field(default=None, init=False, repr=False)

    async def outcome(self) -> Grant:
        """Wait for the grant, or raise what the refresh raised."""
        await self._landed.wait()
        if isinstance(self._outcome, Grant):
            return self._outcome
        if self._outcome is None:
            msg = "the token manager was closed meanwhile, or the refresh was cancelled"
            raise TokenError(msg)
        raise self._outcome.with_traceback(None)

    async def run(self, work: Refresh, on_landing: Callable[[], object] | None = None) -> None:
        """Do the work, and let everybody know."""
        try:
            self._outcome = await work()
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
            self._outcome = error
        finally:
            if on_landing is not None:
                on_landing()
            self._landed.set()


class SingleFlight:
    """The refreshes under way, by the seller that the grant is filed under."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._by_seller: dict[str, Flight] = {}

    def __contains__(self, seller_id: str) -> bool:
        return seller_id in self._by_seller

    @property
    def seller_ids(self) -> list[str]:
        """Whose refresh is under way."""
        return list(self._by_seller)

    def join(self, seller_id: str, work: Refresh, *, drained: bool = True) -> Flight:
        """The flight of a seller; ``work`` is done where there is none yet.

        Closing waits for work that is to be ``drained``.
        """
        flight = self._by_seller.get(seller_id)
        if flight is None:
            flight = Flight()
            on_landing = partial(self._by_seller.pop, seller_id)
            self._background.start_soon(partial(flight.run, work, on_landing), drained=drained)
            self._by_seller[seller_id] = flight
        return flight


class Background:
    """Runs work until it is closed. Errors go to ``on_error``, never to the host application.

    An event loop that ends cancels every task it knows of, and what a refresh token was traded for
    would be lost with its answer. So asyncio is shown one task of all of these: cancelled, it lets
    work under way end, as closing does.

    Args:
        drain: awaited when the end begins, while the work still runs.
        at_end: awaited when all work has ended.
    """

    def __init__(
        self, on_error: Callable[[Exception], object], *, drain: Work, at_end: Work
    ) -> None:
        self._on_error = on_error
        self._drain = drain
        self._at_end = at_end
        self._process = os.getpid()
        self._event_loop: EventLoopToken | None = None
        self._tasks: TaskGroup | None = None
        self._drained_running = 0
        self._idle = anyio.Event()
        self._stopping = anyio.Event()
        self._stopped = anyio.Event()
        self._host: object = None

    @property
    def place(self) -> Place:
        """Where it runs, seen from here. A fork takes no tasks along, and a loop ends its own."""
        if self._process != os.getpid():
            return "forked"
        if self._event_loop is None or self._stopping.is_set():
            return "over"
        try:
            is_here = current_token() == self._event_loop
        except anyio.NoEventLoopError:
            is_here = False
        if is_here:
            return "here"
        return "over" if is_over(self._event_loop) else "elsewhere"

    async def start(self) -> None:
        """Start the host task."""
        self._event_loop = current_token()
        ready = anyio.Event()
        if sniffio.current_async_library() == "trio":
            import trio

            trio.lowlevel.spawn_system_task(self._run, ready)
        else:
            self._host = asyncio.get_running_loop().create_task(self._run(ready))
        await ready.wait()

    async def _run(self, ready: anyio.Event) -> None:
        """The one task that an event loop may cancel."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._hold, ready, name=f"{_NAME}: all of its tasks")
                try:
                    await self._stopping.wait()
                except anyio.get_cancelled_exc_class():
                    await cancel_shielded_checkpoint()  # whoever entered may be leaving as well
                    if not self._stopping.is_set():
                        _log.error(
                            "the event loop ended, or all of its tasks were cancelled, before the "
                            "token manager was left: no token is refreshed any more"
                        )
                    raise
                finally:
                    self._stopping.set()
        finally:
            self._tasks = None
            self._stopped.set()

    async def _hold(self, ready: anyio.Event) -> None:
        _hide_this_task()
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                ready.set()
                await self._stopping.wait()
                await self._drain()
                self._tasks = None
                tasks.cancel_scope.cancel()
            await self._at_end()

    def start_soon(self, work: Work, *, drained: bool = True) -> None:
        """Run ``work``; :meth:`drain` waits for it if it is to be ``drained``."""
        if self._tasks is None:
            msg = "the token manager is not running; use it as 'async with TokenManager(...)'"
            raise RuntimeError(msg)
        self._drained_running += drained
        self._tasks.start_soon(self._do, self._tasks, work, drained, name=f"{_NAME}: work")

    async def _do(self, tasks: TaskGroup, work: Work, drained: bool) -> None:  # noqa: FBT001 - start_soon has no keywords
        _hide_this_task()
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - it must not end the host application
            self._on_error(error)
        except anyio.get_cancelled_exc_class():
            # By itself it would take the whole group along.
            if tasks.cancel_scope.cancel_called:
                raise
            self._on_error(RuntimeError("a task was cancelled from outside of the token manager"))
        finally:
            self._drained_running -= drained
            if not self._drained_running:
                self._idle.set()

    def serve(self, name: str, work: Work) -> None:
        """Run ``work`` that has no end of its own, again and again where it has one."""
        if self._tasks is not None:
            self._tasks.start_soon(self._serve, self._tasks, name, work, name=f"{_NAME}: {name}")

    async def _serve(self, tasks: TaskGroup, name: str, work: Work) -> None:
        _hide_this_task()
        while True:
            how = "returned"
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - its end would be nobody's to see
                how = type(error).__name__
            except anyio.get_cancelled_exc_class():
                if tasks.cancel_scope.cancel_called:
                    raise
                how = "was cancelled from outside"
            _log.error("the token manager's %s ended (%s), and is begun again", name, how)
            await anyio.sleep(_RESTART_PAUSE)

    async def drain(self, seconds: float) -> bool:
        """Wait for what runs; whether all of it ended in time."""
        with anyio.move_on_after(seconds):
            while self._drained_running:
                self._idle = anyio.Event()
                await self._idle.wait()
        return not self._drained_running

    async def aclose(self) -> None:
        """Bring everything to its end, and wait for that; in another event loop there is no way."""
        if current_token() == self._event_loop:
            self._stopping.set()
            with anyio.CancelScope(shield=True):
                await self._stopped.wait()


def _hide_this_task() -> None:
    """Have asyncio not count this task among all those that a shutdown cancels.

    Once it has begun: a task that is started eagerly is counted when it waits first. The function
    is documented for tasks of other kinds than asyncio's, and does for these what their end does.
    """
    if sniffio.current_async_library() == "asyncio" and (task := asyncio.current_task()):
        asyncio.get_running_loop().call_soon(asyncio._unregister_task, task)
