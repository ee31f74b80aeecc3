"""A thread that does what tasks ask of it: all that is waiting in one go.

Tasks of any event loop may ask, of asyncio or trio, one after the other or at once: the thread
belongs to none of them. A task that is cancelled while it waits takes nothing back: what it asked
for is done all the same, with what the others asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar
from weakref import finalize

import anyio
from anyio.to_thread import run_sync
from attrs import define, field

from .._exceptions import StoreError
from . import _forks
from ._waiters import CallInLoop, Waiter, waiter_here

T = TypeVar("T")
C = TypeVar("C")

_BATCH_MAX: Final = 512
"""Jobs in one transaction: the most that a caller waits for besides its own."""


@define(eq=False)
class Job(Generic[C, T]):
    """One operation on a resource ``C``, and its result or its error.

    Made in the task that waits for it, whose event loop it remembers.
    """

    operation: Callable[[C], T] = field(repr=False)
    waiter: Waiter = field(factory=waiter_here, init=False, repr=False)
    value: T | None = field(default=None, init=False, repr=False)
    error: BaseException | None = field(default=None, init=False)

    def succeed(self, value: T) -> None:
        """Set the result; :meth:`fail` may still follow, where the commit fails."""
        self.value = value

    def fail(self, error: BaseException) -> None:
        """Set the error. Our own lose the frames of the thread, whose locals hold bodies."""
        self.error = error.with_traceback(None) if isinstance(error, StoreError) else error


class Resource(Protocol):
    """A connection, say, that no thread but the worker's touches."""

    def serve(self, jobs: Sequence[Job[Any, Any]]) -> None:
        """Do the jobs; each of them ends in :meth:`Job.succeed` or :meth:`Job.fail`."""
        ...

    def close(self) -> None:
        """Let go of everything; :meth:`serve` may be called again."""
        ...


@define(eq=False)
class _Pause:
    """Order to let go of the resource until it is over: a fork is near."""

    reached: Event = field(factory=Event)
    over: Event = field(factory=Event)


@define(eq=False)
class _End:
    """Order to let go of the resource and to end."""


_Inbox: TypeAlias = "SimpleQueue[Job[Any, Any] | _Pause | _End]"


class Worker(Generic[C]):
    """Starts its thread with the first job and ends it with :meth:`aclose`.

    Args:
        name: of what it works with, for the thread's name and for errors.
        resource: what the operations are given, by way of its ``serve``.

    Attributes:
        has_begun: a job was done, in this process.
    """

    def __init__(self, name: str, resource: Resource) -> None:
        self._name = name
        self._resource = resource
        self._closed = False
        self._lost = False
        self._pause: _Pause | None = None
        self._start_over()
        _forks.watch(self)

    def _start_over(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._inbox: _Inbox = SimpleQueue()
        self._thread: Thread | None = None
        self.has_begun = False

    async def run(
        self, operation: Callable[[C], T], *, undo: Callable[[C, T], object] | None = None
    ) -> T:
        """Have ``operation`` done and return what it returned.

        Args:
            undo: done afterwards where the caller was cancelled while it waited.
        """
        job = Job(operation)
        self._send(job)
        try:
            await job.waiter.wait()
        except BaseException:
            # What was asked for is done all the same: a token pair that is nowhere else would be
            # lost. Only a lease that nobody knows of is of no use.
            if undo is not None:
                with suppress(StoreError):  # closed meanwhile: there is nobody left to ask
                    self._send(Job(partial(_undo, job, undo)))
            raise
        if job.error is not None:
            try:
                raise job.error
            finally:
                del job  # or the traceback and the error would hold each other
        self.has_begun = True
        return job.value  # type: ignore[return-value]

    def _send(self, job: Job[Any, Any]) -> None:
        if self._process != os.getpid():
            self._lost = self._lost or self._thread is not None
            self._start_over()
        if self._lost:
            msg = (
                f"{self._name}: this process was forked from one that was using the store, in a "
                "way that gave it no time to let go of the file; make a new store, or fork first"
            )
            raise StoreError(msg)
        with self._lock:
            if self._closed:
                msg = f"{self._name}: this store is closed; make a new one"
                raise StoreError(msg)
            if self._thread is None:
                self._start()
            self._inbox.put(job)

    def _start(self) -> None:
        # Not kept from ending by a thread: what is acknowledged is durable, and what is not is not.
        self._thread = Thread(
            target=_work, args=(self._inbox, self._resource), name=self._name, daemon=True
        )
        self._thread.start()
        finalize(self, self._inbox.put, _End())

    async def aclose(self) -> None:
        """Do what was asked for, let go of the resource, and end the thread."""
        with self._lock:
            thread, is_first = self._thread, not self._closed
            self._closed = True
            if thread is not None and is_first:
                self._inbox.put(_End())
        if thread is not None and self._process == os.getpid():
            # cancelled, the thread would still be at work when the caller thinks it has ended
            with anyio.CancelScope(shield=True):
                await run_sync(thread.join)

    def before_fork(self) -> Callable[[float], object] | None:
        """Ask the thread to let go of its resource; returns what waits until it did."""
        if self._thread is None or self._process != os.getpid():
            return None
        if self._closed:
            return self._thread.join
        self._pause = _Pause()
        self._inbox.put(self._pause)
        return self._pause.reached.wait

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._pause is not None:
            self._pause.over.set()
            self._pause = None

    def after_fork_in_child(self) -> None:
        """Begin again without the thread, which is not in this process."""
        had_thread = self._thread is not None and not self._closed
        self._lost = had_thread and not (self._pause and self._pause.reached.is_set())
        self._pause = None
        self._start_over()


def _undo(job: Job[C, T], undo: Callable[[C, T], object], resource: C) -> None:
    # jobs are done in order, so this one is done after the one that it undoes
    if job.error is None:
        undo(resource, job.value)  # type: ignore[arg-type]


def _work(inbox: _Inbox, resource: Resource) -> None:
    """Body of the thread: takes what is waiting, does it, wakes who waited, until it is to end."""
    while True:
        jobs, then = _waiting(inbox)
        if jobs:
            _serve(resource, jobs)
        del jobs  # no secret stays here while nothing happens
        if then is not None:
            resource.close()
        if isinstance(then, _Pause):
            then.reached.set()
            then.over.wait()
        elif isinstance(then, _End):
            return


def _waiting(inbox: _Inbox) -> tuple[list[Job[Any, Any]], _Pause | _End | None]:
    """Batch of the jobs that wait, and the order behind them; waits until there is something."""
    jobs: list[Job[Any, Any]] = []
    item = inbox.get()
    while isinstance(item, Job):
        jobs.append(item)
        if len(jobs) == _BATCH_MAX:
            return jobs, None
        try:
            item = inbox.get_nowait()
        except Empty:
            return jobs, None
    return jobs, item


def _serve(resource: Resource, jobs: list[Job[Any, Any]]) -> None:
    try:
        resource.serve(jobs)
    except BaseException as error:  # noqa: BLE001 - a bug; those who wait must learn of it
        for job in jobs:
            job.fail(error)
    _wake(jobs)


def _wake(jobs: Iterable[Job[Any, Any]]) -> None:
    """Wake those who wait for the jobs, each in its own event loop; from any thread."""
    by_loop: dict[CallInLoop, list[Waiter]] = {}
    for job in jobs:
        by_loop.setdefault(job.waiter.call_in_loop, []).append(job.waiter)
    for call_in_loop, waiters in by_loop.items():
        with suppress(RuntimeError):  # that event loop has ended, and with it who waited there
            call_in_loop(partial(_wake_all, waiters))


def _wake_all(waiters: list[Waiter]) -> None:
    for waiter in waiters:
        waiter.wake()
