"""Serve the sandbox over a socket that it can also break."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from anyio.from_thread import start_blocking_portal
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from ._app import create_app
from ._delivery import EXTENSION
from ._guard import is_loopback
from ._sandbox import Sandbox

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_LARGEST_HEAD = 1 << 20

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol as _Protocol
else:
    _Protocol = AutoHTTPProtocol


class _BreakableProtocol(_Protocol):
    """uvicorn's protocol, whose connections the app can end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Its lines would show codes and tokens that stand in a query.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Head and body are two writes; without this the second waits 40 ms for the first's ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app = partial(_run, self.app, transport)


async def _run(
    app: ASGIApp, transport: asyncio.Transport, scope: Scope, receive: Receive, send: Send
) -> None:
    extensions = scope.setdefault("extensions", {})
    extensions[EXTENSION] = {"abort": partial(_abort, transport)}
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        # The server stops, and nobody waits for this answer any more.
        if not transport.is_closing():
            raise


def _abort(transport: asyncio.Transport, *, reset: bool) -> None:
    if reset:
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
    transport.abort()


class _Server(uvicorn.Server):
    """A uvicorn that runs inside somebody's program: it takes no signals and stops at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self.stop = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        tasks = list(self.server_state.tasks)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def serve(
    sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False
) -> AsyncIterator[str]:
    """Serve the sandbox in this asyncio event loop; gives its base URL once it listens.

    Args:
        host, port: where to listen; any free port by default.
        allow_remote: listen on an address that other machines reach. Whoever reaches a sandbox
            can read its tokens and move its clock.

    Raises:
        ValueError: ``host`` is no loopback address and ``allow_remote`` was not said.
        OSError: the port is taken.

    Example::

        from iop_async.sandbox import Sandbox, serve

        async with serve(Sandbox()) as url:
            gateway = iop.gateways.Iop(url)
    """
    if not (allow_remote or is_loopback(host)):
        msg = (
            f"the sandbox would listen on {host}, where other machines can read its tokens; "
            "use 127.0.0.1, or say allow_remote=True"
        )
        raise ValueError(msg)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        name = f"[{host}]" if ":" in host else host
        server = _Server(_config(create_app(sandbox, is_local=not allow_remote)))
        running = asyncio.create_task(server.serve([listener]))
        try:
            await _first_of(server.listening, running)
            yield f"http://{name}:{listener.getsockname()[1]}"
        finally:
            server.stop.set()
            await running


async def _first_of(listening: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Wait until the server listens, or raise why it does not."""
    running.add_done_callback(lambda _: listening.set())
    await listening.wait()
    if running.done():
        running.result()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_BreakableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=None,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=_LARGEST_HEAD,
    )


@contextlib.contextmanager
def running(
    sandbox: Sandbox, *, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False
) -> Iterator[str]:
    """:func:`serve` from a thread of its own, for programs under any event loop or none.

    Example::

        from iop_async.sandbox import Sandbox, running

        with running(Sandbox()) as url:
            gateway = iop.gateways.Iop(url)
    """
    served = serve(sandbox, host=host, port=port, allow_remote=allow_remote)
    with (
        start_blocking_portal(name="iop-sandbox") as portal,
        portal.wrap_async_context_manager(served) as url,
    ):
        yield url
