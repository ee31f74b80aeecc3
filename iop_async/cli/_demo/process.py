"""The app's process as its parent sees it: started, listened to, stopped or killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from .gateway import LocalGateway

OnMessage: TypeAlias = Callable[[dict[str, Any]], None]


class AppProcess:
    """A running :mod:`.worker`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def authorize(self, seller: str, code: str) -> None:
        """Hand the app the code of a seller who approved."""
        line = json.dumps({"seller": seller, "code": code}) + "\n"
        # An app that has ended is noticed by the end of its output.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            if self._process.stdin is not None:
                await self._process.stdin.send(line.encode())

    async def stop(self) -> int:
        """Let it finish what is under way; its exit status."""
        if self._process.stdin is not None:
            await self._process.stdin.aclose()
        return await self._process.wait()

    async def kill(self) -> None:
        """End it at once, whatever it is doing (SIGKILL)."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def running_app(
    gateway: LocalGateway, path: Path, on_message: OnMessage
) -> AsyncIterator[AppProcess]:
    """Run the app over the store at ``path``; ``on_message`` gets its messages, ``ended`` last."""
    # -P: whatever the current directory has by the name of a module is not what is run.
    command = [sys.executable, "-P", "-m", f"{__package__}.worker"]
    command += [gateway.url, gateway.panel, str(path)]
    process: Process
    async with (
        # Ctrl-C ends the demonstration, which then ends the app: it must not get there first.
        await anyio.open_process(
            command, stdin=subprocess.PIPE, stderr=None, start_new_session=True
        ) as process,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_listen, process, on_message)
        try:
            yield AppProcess(process)
        finally:
            # Only where the demonstration itself failed: nothing is left running behind it.
            if process.returncode is None:
                process.kill()


async def _listen(process: Process, on_message: OnMessage) -> None:
    rest = ""
    if process.stdout is not None:
        async for text in TextReceiveStream(process.stdout):
            # A message may arrive in pieces, and several at once.
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                on_message(json.loads(line))
    on_message({"ended": True})
