"""The commands and their options."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs
import click

from .._client import Client
from .._exceptions import IopError, SignatureError
from .._models import App, Reply
from .._redact import Secret
from .._scrub import scrubs_frames
from .._transport import HttpxTransport
from ..sandbox import PROFILES, Sandbox, SandboxApp, serve
from ._demo import demonstrate
from ._diagnosis import RecordingSigner, explain
from ._options import gateway_of, hidden
from ._store import store
from ._tokens import tokens

if TYPE_CHECKING:
    from ..protocols import Signer


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="iop-async")
def commands() -> None:
    """Work with Alibaba's open platforms from the command line."""


commands.add_command(store)
commands.add_command(tokens)


def _pair(separator: str, form: str) -> Any:
    def split(_context: object, _option: object, values: tuple[str, ...]) -> dict[str, str]:
        pairs: dict[str, str] = {}
        for place, value in enumerate(values, 1):
            left, found, right = value.partition(separator)
            if not (left and found):
                # By its place: all of it may be a secret.
                msg = f"number {place} is not of the form {form}"
                raise click.BadParameter(msg)
            pairs[left] = Secret(right)
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
    """Serve a local gateway; print its URLs as one line of JSON once it listens."""
    try:
        state = Sandbox(
            profile=profile,
            apps=[SandboxApp(key, secret, callback=callback) for key, secret in apps.items()],
            sellers=sellers,
            access_seconds=access_seconds,
        )
        listening = partial(serve, state, host=host, port=port, allow_remote=allow_remote)
        anyio.run(_serve_until_signalled, state, listening)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


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
@click.option(
    "--app-secret",
    envvar="IOP_APP_SECRET",
    required=True,
    callback=hidden,
    help="Or IOP_APP_SECRET.",
)
@click.option(
    "--access-token", envvar="IOP_ACCESS_TOKEN", callback=hidden, help="Or IOP_ACCESS_TOKEN."
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    callback=_pair("=", "NAME=VALUE"),
    metavar="NAME=VALUE",
    help="Sent besides, and not signed.",
)
@click.option(
    "--proxy", callback=hidden, metavar="URL", help="http://host:port of a proxy to go through."
)
@click.option("--get", "http_method", flag_value="GET", default=None, help="GET instead of POST.")
@click.option("--simplify/--no-simplify", default=None, help="Ask for an answer without wrapper.")
@scrubs_frames
def call(
    api: str,
    params: dict[str, str],
    files: dict[str, str],
    gateway: str,
    app_key: str,
    app_secret: str,
    access_token: str | None,
    headers: dict[str, str],
    proxy: str | None,
    http_method: str | None,
    *,
    simplify: bool | None,
) -> None:
    """Call API (a path like /order/get, or a dotted name) and print the answer as JSON.

    Keys and tokens are better given in the environment, where no other user can read them.
    """
    try:
        target = gateway_of(gateway)
        recorder = RecordingSigner(cast("Signer", target.signer))  # those of presets do not await
        target = attrs.evolve(target, signer=recorder)
        transport = HttpxTransport(proxy=proxy)
        client = Client(App(app_key, app_secret), target, transport=transport)
        caller = client.as_seller(access_token) if access_token else client
        request = partial(
            caller.with_headers(headers).call,
            api,
            params,
            files={name: Path(path) for name, path in files.items()},
            http_method="GET" if http_method else "POST",
            simplify=simplify,
        )
        _print(anyio.run(_within, transport, request))
    except SignatureError as error:
        click.echo(f"Error: {error}", err=True)
        click.echo(explain(recorder.signed, error.string_to_sign, recorder.secrets), err=True)
        sys.exit(1)
    except (IopError, ValueError, TypeError, OSError) as error:
        raise click.ClickException(str(error)) from None


async def _within(transport: HttpxTransport, request: Callable[[], Awaitable[Reply]]) -> Reply:
    async with transport:
        return await request()


def _print(reply: Reply) -> None:
    body = json.dumps(reply.body, ensure_ascii=False, indent=2)
    # Half a surrogate pair, which a gateway may send escaped, is printed escaped too.
    click.echo(body.encode("utf-8", "backslashreplace"))
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
