"""``iop-async sandbox``: a local gateway."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import anyio
import click

from ..sandbox import PROFILES, Sandbox, SandboxApp, serve
from ._group import Command
from ._pairs import pairs


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 picks a free one.")
@click.option(
    "--app",
    "apps",
    multiple=True,
    default=["123456:helloworld"],
    show_default=True,
    metavar="KEY:SECRET",
    callback=pairs(":", "KEY:SECRET"),
    help="An app that the gateway knows; may be given several times.",
)
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="taobao_global")
@click.option("--sellers", default=3, show_default=True, help="How many shops there are.")
@click.option(
    "--access-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Lifetime of access tokens; the profile's by default.",
)
@click.option("--callback", help="The only redirect_uri accepted; any by default.")
@click.option("--allow-remote", is_flag=True, help="Listen on an address that is not loopback.")
def sandbox(
    host: str,
    port: int,
    apps: dict[str, str],
    profile: str,
    sellers: int,
    access_seconds: float | None,
    callback: str | None,
    *,
    allow_remote: bool,
) -> None:
    """Serve a local gateway.

    It prints its URLs as one line of JSON once it listens.
    """
    state = Sandbox(
        profile=profile,
        apps=[SandboxApp(key, secret, callback=callback) for key, secret in apps.items()],
        sellers=sellers,
        access_seconds=access_seconds,
    )
    listening = partial(serve, state, host=host, port=port, allow_remote=allow_remote)
    anyio.run(_serve_until_signalled, state, listening)


async def _serve_until_signalled(
    state: Sandbox, listening: Callable[[], AbstractAsyncContextManager[str]]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with listening() as url:
            urls = {
                "gateway": url,
                "rest": f"{url}/rest",
                "sync": f"{url}/sync",
                "top": f"{url}/router/rest",
                "authorize": f"{url}/oauth/authorize",
                "panel": f"{url}/_sandbox/",
                "sellers": list(state.sellers),
            }
            click.echo(json.dumps(urls))
            # Who started this reads the line from a pipe, and waits for it.
            sys.stdout.flush()
            async for _ in signals:
                return
