"""Let go of database files before this process is forked.

A child inherits what SQLite knows of the locks that the process holds, but not the locks. It would
take none of its own on such a file, the next process to close the file would throw the log away
that the child writes to, and with it writes that were acknowledged. No connection may therefore be
open while the process is forked, not even one that the child never touches.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import RLock
from time import monotonic
from typing import Final, Protocol
from weakref import WeakSet

_FORK_TIMEOUT: Final = 10.0
"""Seconds that a fork waits for transactions to end. Past that the child must not use its store."""


class Watched(Protocol):
    """An object with a thread, and files that the thread holds open."""

    def before_fork(self) -> Callable[[float], object] | None:
        """Begin to let go; what it returns waits for the end of that, for so many seconds."""
        ...

    def after_fork_in_parent(self) -> None:
        """Go on."""
        ...

    def after_fork_in_child(self) -> None:
        """Begin again."""
        ...


_watched: WeakSet[Watched] = WeakSet()
_one_at_a_time = RLock()


def watch(watched: Watched) -> None:
    """Tell ``watched`` of forks for as long as it exists."""
    _watched.add(watched)


def _before() -> None:
    _one_at_a_time.acquire()
    until = monotonic() + _FORK_TIMEOUT
    for wait in [watched.before_fork() for watched in tuple(_watched)]:
        if wait is not None:
            wait(max(0.0, until - monotonic()))


def _after_in_parent() -> None:
    for watched in tuple(_watched):
        watched.after_fork_in_parent()
    _one_at_a_time.release()


def _after_in_child() -> None:
    global _one_at_a_time  # noqa: PLW0603 - whoever held the old one may not be in this process
    _one_at_a_time = RLock()
    for watched in tuple(_watched):
        watched.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
