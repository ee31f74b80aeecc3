"""The commands and their options."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import attrs
import click

from .. import gateways
from .._client import Client
from .._exceptions import IopError, SignatureError
from .._models import App, Reply
from ..sandbox import PROFILES, Sandbox, SandboxApp, serve
from ._demo import demonstrate
from ._diagnosis import RecordingSigner, explain


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="iop-async")
def commands() -> None:
    """Work with Alibaba's open platforms from the command line."""


def _pair(separator: str, form: str) -> Any:
    def split(_context: object, _option: object, values: tuple[str, ...]) -> dict[str, str]:
        pairs = {}
        for value in values:
            left, found, right = value.partition(separator)
            if not (left and found):
                msg = f"{value.partition(separator)[0]!r} is not of the form {form}"
                raise click.BadParameter(msg)
            pairs[left] = right
        return pairs

    return split


@commands.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 picks a free one.")
@click.option(
    "--app",
    "apps",
    multiple=True,
    default=["123456:helloworld"],
    show_default=True,
    metavar="KEY:SECRET",
    callback=_pair(":", "KEY:SECRET"),
    help="An app that the gateway knows; may be given several times.",
)
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="taobao_global")
@click.option("--sellers", default=3, show_default=True, help="How many shops there are.")
@click.option(
    "--access-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="How long access tokens live; as in the profile, where not given.",
)
@click.option("--callback", help="The only redirect_uri accepted; any, where not given.")
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
    """Serve a local gateway; print its URLs as one line of JSON once it listens."""

    async def serve_until_told() -> None:
        state = Sandbox(
            profile=profile,
            apps=[SandboxApp(key, secret, callback=callback) for key, secret in apps.items()],
            sellers=sellers,
            access_seconds=access_seconds,
        )
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with serve(state, host=host, port=port, allow_remote=allow_remote) as url:
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
                sys.stdout.flush()
                async for _ in signals:
                    return

    try:
        anyio.run(serve_until_told)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


def _gateway(name: str) -> gateways.Iop | gateways.Top:
    """A market by name; a URL is TOP's where it ends as TOP's do."""
    if "://" not in name:
        return gateways.from_name(name)
    is_top = name.rstrip("/").endswith(("/router/rest", "/api"))
    return gateways.Top(name) if is_top else gateways.Iop(name)


@commands.command()
@click.argument("api")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    callback=_pair("=", "NAME=VALUE"),
    metavar="NAME=VALUE",
)
@click.option(
    "-f", "--file", "files", multiple=True, callback=_pair("=", "NAME=PATH"), metavar="NAME=PATH"
)
@click.option(
    "--gateway",
    default="taobao_global",
    envvar="IOP_GATEWAY",
    show_default=True,
    help="A market's name, or the URL of a gateway.",
)
@click.option("--app-key", envvar="IOP_APP_KEY", required=True, help="Or IOP_APP_KEY.")
@click.option("--app-secret", envvar="IOP_APP_SECRET", required=True, help="Or IOP_APP_SECRET.")
@click.option("--access-token", envvar="IOP_ACCESS_TOKEN", help="Or IOP_ACCESS_TOKEN.")
@click.option("--get", "http_method", flag_value="GET", default=None, help="GET instead of POST.")
@click.option("--simplify/--no-simplify", default=None, help="Ask for an answer without wrapper.")
def call(
    api: str,
    params: dict[str, str],
    files: dict[str, str],
    gateway: str,
    app_key: str,
    app_secret: str,
    access_token: str | None,
    http_method: str | None,
    *,
    simplify: bool | None,
) -> None:
    """Call API (a path like /order/get, or a dotted name) and print the answer as JSON.

    Keys and tokens are better given in the environment, where no other user of the machine can
    read them.
    """
    recorder: RecordingSigner | None = None

    async def exchange() -> Reply:
        nonlocal recorder
        target = _gateway(gateway)
        recorder = RecordingSigner(target.signer)
        target = attrs.evolve(target, signer=recorder)
        async with Client(App(app_key, app_secret), target) as client:
            caller = client.as_seller(access_token) if access_token else client
            return await caller.call(
                api,
                params,
                files={name: Path(path) for name, path in files.items()},
                http_method="GET" if http_method == "GET" else "POST",
                simplify=simplify,
            )

    try:
        reply = anyio.run(exchange)
    except SignatureError as error:
        click.echo(f"Error: {error}", err=True)
        if recorder is not None:
            click.echo(explain(recorder.signed, error.string_to_sign, recorder.secrets), err=True)
        sys.exit(1)
    except (IopError, ValueError, TypeError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(reply.body, ensure_ascii=False, indent=2))
    if reply.failure is not None:
        failure = reply.failure
        raise click.ClickException(f"the business refused: {failure.code} {failure.message}")


@commands.command()
@click.option("--sellers", default=200, show_default=True, type=click.IntRange(min=1, max=500))
@click.option("--calls", default=25, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--speed",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=20, max=120),
    help="Simulated seconds in a second, for the tokens that live minutes.",
)
def demo(sellers: int, calls: int, speed: float) -> None:
    """Show the library at work against a local gateway; exit status 0 only if all of it held.

    Some sellers approve, call and upload, CALLS calls each; then a process keeps the tokens of all
    SELLERS fresh while the gateway fails and while that process itself is killed.
    """
    sys.exit(0 if anyio.run(demonstrate, sellers, calls, speed) else 1)
