"""``iop-async call``: one call, and its answer."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import attrs
import click

from .._exceptions import SignatureError
from .._models import Reply
from .._scrub import scrubs_frames
from ..protocols import Signer
from ._diagnosis import RecordingSigner, explain
from ._group import Command, Failed
from ._opening import gateway_of, opened_client
from ._options import takes
from ._output import print_json
from ._pairs import pairs
from ._running import run
from ._settings import Settings

_PAIR = "NAME=VALUE"


@click.command(cls=Command)
@click.argument("api")
@click.option("-p", "--param", "params", multiple=True, callback=pairs("=", _PAIR), metavar=_PAIR)
@click.option(
    "-f", "--file", "files", multiple=True, callback=pairs("=", "NAME=PATH"), metavar="NAME=PATH"
)
@takes("gateway", "allow_http", "app_key", "app_secret", "access_token", "proxy")
@click.option(
    "--header",
    "headers",
    multiple=True,
    callback=pairs("=", _PAIR),
    metavar=_PAIR,
    help="Sent besides, and not signed.",
)
@click.option("--get", "http_method", flag_value="GET", default=None, help="GET instead of POST.")
@click.option("--simplify/--no-simplify", default=None, help="Ask for an answer without wrapper.")
@scrubs_frames
def call(
    settings: Settings,
    api: str,
    params: dict[str, str],
    files: dict[str, str],
    headers: dict[str, str],
    http_method: str | None,
    *,
    simplify: bool | None,
) -> None:
    """Call API (a path like /order/get, or a dotted name) and print the answer as JSON."""
    target = gateway_of(settings)
    recorder = RecordingSigner(cast("Signer", target.signer))  # those of presets do not await
    token = settings.get("access_token")

    async def do() -> Reply:
        gateway = attrs.evolve(target, signer=recorder)
        async with opened_client(settings, gateway=gateway) as client:
            caller = client.as_seller(token) if token else client
            return await caller.with_headers(headers).call(
                api,
                params,
                files={name: Path(path) for name, path in files.items()},
                http_method="GET" if http_method else "POST",
                simplify=simplify,
            )

    try:
        reply = run(do)
    except SignatureError as error:
        details = explain(recorder.signed, error.string_to_sign, recorder.secrets)
        raise Failed(str(error), details=details) from error
    print_json(reply.body)
    if reply.failure is not None:
        msg = f"the business refused: {reply.failure.code} {reply.failure.message}"
        raise Failed(msg)
