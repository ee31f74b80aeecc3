"""``iop-async call``: one call, and its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import attrs
import click

from .._caller import CallerMixin
from .._exceptions import SignatureError, UnknownSeller
from .._models import Call, Reply
from .._redact import redact_tree
from .._scrub import scrubs_frames
from ..protocols import Signer
from ._call_params import merged, read_params
from ._diagnosis import RecordingSigner, explain
from ._group import Command, Failed
from ._opening import app_of, gateway_of, manager_of, opened_client, opened_store
from ._options import takes
from ._output import print_json, warn
from ._pairs import pairs
from ._preview import Preview
from ._running import run
from ._settings import Settings
from ._tokens.grants import opened_reader
from ._verbose import told_hooks

_PAIR: Final = "NAME=VALUE"
_FILE: Final = "NAME=PATH"
_READS: Final = (
    *("gateway", "allow_http", "app_key", "app_secret", "access_token"),
    *("store", "scope", "journal", "proxy"),
)


@click.command(cls=Command)
@click.argument("api")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    callback=pairs("=", _PAIR),
    metavar=_PAIR,
    help="A parameter.",
)
@click.option(
    "--params",
    "more_params",
    type=click.File("rb", lazy=True),
    help="A JSON object of parameters; - is standard input.",
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    callback=pairs("=", _FILE),
    metavar=_FILE,
    help="A file to upload.",
)
@click.option("--seller", "seller_id", metavar="ID", help="Call for this seller of the store.")
@takes(*_READS)
@click.option(
    "--header",
    "headers",
    multiple=True,
    callback=pairs("=", _PAIR),
    metavar=_PAIR,
    help="Sent besides, and not signed.",
)
@click.option("--get", "by_get", is_flag=True, help="GET, not POST.")
@click.option("--simplify/--no-simplify", default=None, help="Ask for an answer without wrapper.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For all of it, waits and repeated tries too.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@click.option("--curl", is_flag=True, help="The same, as a command for curl.")
@click.option("-v", "--verbose", is_flag=True, help="Tell of every request on standard error.")
@click.option("--reveal", is_flag=True, help="Show secrets in what is printed.")
@scrubs_frames
def call(
    settings: Settings,
    api: str,
    params: dict[str, str],
    more_params: Any,
    files: dict[str, str],
    seller_id: str | None,
    *,
    by_get: bool,
    dry_run: bool,
    curl: bool,
    verbose: bool,
    reveal: bool,
    **how: Any,
) -> None:
    """Call an API, and print the answer as JSON.

    API is a path like /order/get, or a dotted name. With --seller it is called for a seller
    of the store, whose token is refreshed first where it must be; else with the access token that
    is given, or with none.
    """
    asked = _Asked(
        Call(
            api,
            merged(read_params(more_params), params),
            http_method="GET" if by_get else "POST",
            files={name: Path(path) for name, path in files.items()},
            **how,
        ),
        seller_id,
    )
    if dry_run or curl:
        Preview(
            app_of(settings), gateway_of(settings), run(lambda: asked.with_token(settings))
        ).print(as_curl=curl, reveal=reveal)
        return
    _print(_answer(settings, asked, verbose=verbose), reveal=reveal)


@attrs.frozen
class _Asked:
    """A call, and for whom."""

    call: Call
    seller_id: str | None

    async def with_token(self, settings: Settings) -> Call:
        """The call with the token as it is; a seller's is not refreshed."""
        if self.seller_id is None:
            return attrs.evolve(self.call, access_token=settings.get("access_token"))
        async with opened_reader(settings) as reader:
            kept = await reader.find(self.seller_id)
        if kept is None:
            raise UnknownSeller(self.seller_id, "the store has nothing of it")
        return attrs.evolve(self.call, access_token=kept.grant.token.access_token)

    async def send(self, caller: CallerMixin) -> Reply:
        """The answer."""
        call = self.call
        return await caller.with_headers(call.headers).call(
            call.api,
            call.params,
            http_method=call.http_method,
            files=call.files,
            simplify=call.simplify,
            timeout=call.timeout,
        )


def _answer(settings: Settings, asked: _Asked, *, verbose: bool) -> Reply:
    target = gateway_of(settings)
    recorder = RecordingSigner(cast("Signer", target.signer))  # those of presets do not await
    signing = attrs.evolve(target, signer=recorder)
    hooks = told_hooks() if verbose else {}

    async def do() -> Reply:
        async with _caller(settings, asked.seller_id, signing, hooks) as caller:
            return await asked.send(caller)

    try:
        return run(do)
    except SignatureError as error:
        details = explain(recorder.signed, error.string_to_sign, recorder.secrets)
        raise Failed(str(error), details=details) from error


@asynccontextmanager
async def _caller(
    settings: Settings, seller_id: str | None, gateway: Any, hooks: Mapping[str, Any]
) -> AsyncIterator[CallerMixin]:
    async with opened_client(settings, gateway=gateway, **hooks) as client:
        if seller_id is None:
            token = settings.get("access_token")
            yield client.as_seller(token) if token else client
            return
        async with opened_store(settings) as store, manager_of(settings, client, store) as manager:
            yield manager.seller(seller_id)


def _print(reply: Reply, *, reveal: bool) -> None:
    body = reply.body if reveal else redact_tree(reply.body)
    print_json(body)
    if body != reply.body:
        warn("secrets in the answer are masked; --reveal shows them")
    if reply.failure is not None:
        msg = f"the business refused: {reply.failure.code} {reply.failure.message}"
        raise Failed(msg)
