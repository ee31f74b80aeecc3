"""The event loop of a command, which ends in peace when the command is told to."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio
from anyio.abc import TaskStatus

from ._group import Failed

T = TypeVar("T")

_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")
"""The last where a terminal is closed; Windows has none."""


def run(do: Callable[[], Awaitable[T]]) -> T:
    """Run something, and end it by SIGINT, SIGTERM or SIGHUP as if it were cancelled.

    Refreshes under way come to their end, files are closed, processes that were started are ended.
    A second signal ends all of it at once. The exit status is then 128 and the signal's number.
    """
    return anyio.run(_run, do)


async def _run(do: Callable[[], Awaitable[T]]) -> T:
    received: list[int] = []
    results: list[T] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(_end_on_signal, tasks.cancel_scope, received)
        try:
            results.append(await do())
        except Exception as error:  # noqa: BLE001 - raised below, out of the group that wraps it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not results:
        msg = f"ended by {signal.Signals(received[0]).name}"
        raise Failed(msg, exit_code=128 + received[0])
    return results[0]


async def _end_on_signal(
    scope: anyio.CancelScope,
    received: list[int],
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    # What nohup, or a shell for what runs in the background, has us ignore stays ignored.
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    with anyio.open_signal_receiver(*heeded) as signals:
        task_status.started()
        async for number in signals:
            received.append(number)
            break
    scope.cancel()
