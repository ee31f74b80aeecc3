"""``iop-async store``: make, look at and re-encrypt what tokens are kept in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import click

from .._scrub import scrubs_frames
from ..stores import ConfiguredStore, from_url
from ._group import Group
from ._options import takes
from ._output import print_json, say, wants_json
from ._running import run
from ._settings import Settings


@click.group(cls=Group)
def store() -> None:
    """Set up and look at a store of tokens."""


def _in_store(
    settings: Settings,
    do: Callable[[ConfiguredStore], Awaitable[Any]],
    *,
    accept_plain: bool = False,
) -> Any:
    async def opened() -> Any:
        store = from_url(settings.require("store"), accept_plain=accept_plain)
        try:
            return await do(store)
        finally:
            await store.aclose()

    return run(opened)


@store.command()
@takes("store")
@scrubs_frames
def init(settings: Settings) -> None:
    """Make the tables or the file of the store, where they are missing; again: no harm."""
    _in_store(settings, lambda store: store.create_tables())
    if wants_json():
        print_json({"is_there": True})
    else:
        say("the store is there")


@store.command()
@takes("store")
@click.option("--scope", default="", help="APP_KEY@GATEWAY_HOST, whose records keys must open.")
@scrubs_frames
def check(settings: Settings, scope: str) -> None:
    """Say whether the store can be used, and what its server promises, as JSON.

    It connects, and tries every right that is needed; nothing is changed. What may lose tokens is
    among the warnings.
    """
    report = _in_store(settings, lambda store: store.check(scope))
    print_json(attrs.asdict(report))


@store.command()
@click.argument("dialect", type=click.Choice(["postgresql", "mysql", "mariadb", "sqlite"]))
@click.option("--table-prefix", default="iop_", show_default=True)
def ddl(dialect: str, table_prefix: str) -> None:
    """Print the statements that make the tables, for migrations that are written by hand."""
    from ..stores import SQLAlchemyStore

    statements = SQLAlchemyStore.ddl(dialect, table_prefix=table_prefix)
    if wants_json():
        print_json({"dialect": dialect, "statements": statements})
    else:
        click.echo(statements, nl=False)


@store.command()
@takes("store")
@click.argument("scopes", nargs=-1, required=True, metavar="APP_KEY@GATEWAY_HOST...")
@click.option("--accept-plain", is_flag=True, help="Encrypt what is in clear text as well.")
@scrubs_frames
def reencrypt(settings: Settings, scopes: tuple[str, ...], *, accept_plain: bool) -> None:
    """Seal records anew with the first key of the store, while others use them."""
    sealed: dict[str, int] = {}

    async def seal(store: ConfiguredStore) -> None:
        from ..stores import EncryptedStore

        if not isinstance(store, EncryptedStore):
            msg = "the store is not encrypted: its URL takes ?encrypt=env:NAME"
            raise click.ClickException(msg)
        for scope in scopes:
            sealed[scope] = await store.reencrypt(scope)
            if not wants_json():
                say(f"{scope}: {sealed[scope]} sealed anew")

    _in_store(settings, seal, accept_plain=accept_plain)
    if wants_json():
        print_json({"sealed": sealed})
