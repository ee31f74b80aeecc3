"""A small HTTP server inside a command, which keeps its own signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

_STOP_SECONDS: Final = 2


class _Server(uvicorn.Server):
    """A uvicorn that takes no signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve an ASGI app in this asyncio event loop; gives its base URL once it listens.

    Nothing is said of the requests: their queries may hold secrets.

    Raises:
        OSError: it cannot listen there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        server = _Server(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        running = asyncio.create_task(server.serve([listener]))
        try:
            await _first_of(server.listening, running)
            name = f"[{host}]" if ":" in host else host
            yield f"http://{name}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


async def _first_of(listening: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Wait until the server listens, or raise why it does not."""
    running.add_done_callback(lambda _: listening.set())
    await listening.wait()
    if running.done():
        running.result()
