"""The command and its options."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import click

from ..._scrub import scrubs_frames
from ...gateways._addresses import is_loopback
from .._group import Command
from .._options import takes
from .._output import wanted_as_json
from .._settings import Settings

_LEVELS = ("debug", "info", "warning", "error")


@click.command(cls=Command)
@takes("store", "app_key", "app_secret", "gateway", "allow_http", "scope", "journal", "proxy")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="IOP_KEEP_HOST",
    help="Where probes and metrics are served.  [env: IOP_KEEP_HOST]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9464,
    show_default=True,
    envvar="IOP_KEEP_PORT",
    help="0 picks a free one, which the log names.  [env: IOP_KEEP_PORT]",
)
@click.option("--dashboard", is_flag=True, help="Serve a page for people at /dashboard as well.")
@click.option(
    "--allow-remote", is_flag=True, help="Let other machines see the dashboard: it names sellers."
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Refreshes under way at a time.",
)
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Refreshes in a second at most."
)
@click.option(
    "--on-store-failure",
    type=click.Choice(["wait", "journal"]),
    default="wait",
    show_default=True,
    help="Wait for a store that fails, or go on with the journal alone; that is safe only where no "
    "other process refreshes the same sellers.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="How long refreshes under way are waited for in the end.",
)
@click.option("--log-level", type=click.Choice(_LEVELS), default="info", show_default=True)
@scrubs_frames
def keep(
    settings: Settings,
    host: str,
    port: int,
    log_level: str,
    *,
    dashboard: bool,
    allow_remote: bool,
    **of_manager: Any,
) -> None:
    """Keep the tokens in the store fresh, as a service, until SIGTERM or SIGINT.

    Applications in any language read the store, or ask their own followers; this process alone
    refreshes. It logs JSON to standard error, one object a line, and serves /livez, /healthz and
    /metrics. A signal lets refreshes under way end; a second one ends at once.
    """
    if dashboard and not (allow_remote or is_loopback(host)):
        msg = (
            f"the dashboard would be served on {host}, where other machines read which sellers "
            "there are; use --host 127.0.0.1, or say --allow-remote"
        )
        raise click.UsageError(msg)
    try:
        from .logs import log_json
        from .service import Listening, serve
    except ModuleNotFoundError as error:
        if error.name not in ("prometheus_client", "pythonjsonlogger"):
            raise
        msg = f"{error.name} is missing; install the extra: pip install 'iop-async[keep]'"
        raise click.ClickException(msg) from None
    wanted_as_json.set(True)  # whatever is said from here on is read by a program
    log_json(log_level.upper())
    listening = Listening(host=host, port=port, has_dashboard=dashboard)
    anyio.run(partial(serve, settings, listening, **of_manager))
