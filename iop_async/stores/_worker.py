"""A thread that does what tasks ask of it, everything that is waiting in one go.

Tasks of any event loop may ask, of asyncio or trio, one after the other or at once: the thread
belongs to none of them. A task that is cancelled while it waits takes nothing back: what it asked
for is done all the same, with what the others asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar
from weakref import finalize

import anyio
from anyio.to_thread import run_sync

from .._exceptions import StoreError
from . import _forks
from ._jobs import Job
from ._thread import End, Inbox, Pause, Resource, work

T = TypeVar("T")
C = TypeVar("C")


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
        self._pause: Pause | None = None
        self._start_over()
        _forks.watch(self)

    def _start_over(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._inbox: Inbox = SimpleQueue()
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
            await job.done.wait()
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
            target=work, args=(self._inbox, self._resource), name=self._name, daemon=True
        )
        self._thread.start()
        finalize(self, self._inbox.put, End())

    async def aclose(self) -> None:
        """Do what was asked for, let go of the resource, and end the thread."""
        with self._lock:
            thread, is_first = self._thread, not self._closed
            self._closed = True
            if thread is not None and is_first:
                self._inbox.put(End())
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
        self._pause = Pause()
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
