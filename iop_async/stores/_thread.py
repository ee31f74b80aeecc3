"""The thread of a worker: it takes what is waiting, does it in one go, and tells who waited."""

from __future__ import annotations

from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, Final, Protocol, TypeAlias

from attrs import define, field

from ._jobs import Job, wake

_MOST: Final = 512
"""Jobs done in one go; what a caller waits for at most, besides its own."""


class Resource(Protocol):
    """What the thread works with; no other thread touches it."""

    def serve(self, jobs: Sequence[Job[Any, Any]]) -> None:
        """Do the jobs; each of them succeeds or fails."""
        ...

    def close(self) -> None:
        """Let go of everything; :meth:`serve` may be called again."""
        ...


@define(eq=False)
class Pause:
    """Asks the thread to let go of its resource for a while."""

    reached: Event = field(factory=Event)
    over: Event = field(factory=Event)


@define(eq=False)
class End:
    """Asks the thread to let go of its resource and to end."""


Inbox: TypeAlias = "SimpleQueue[Job[Any, Any] | Pause | End]"


def work(inbox: Inbox, resource: Resource) -> None:
    """What the thread does until it is asked to end."""
    while True:
        jobs, then = _waiting(inbox)
        if jobs:
            _serve(resource, jobs)
        del jobs  # no secret stays here while nothing happens
        if then is not None:
            resource.close()
        if isinstance(then, Pause):
            then.reached.set()
            then.over.wait()
        elif isinstance(then, End):
            return


def _waiting(inbox: Inbox) -> tuple[list[Job[Any, Any]], Pause | End | None]:
    """The jobs that wait, and what was asked for after them. Waits until there is something."""
    jobs: list[Job[Any, Any]] = []
    item = inbox.get()
    while isinstance(item, Job):
        jobs.append(item)
        if len(jobs) == _MOST:
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
    wake(jobs)
