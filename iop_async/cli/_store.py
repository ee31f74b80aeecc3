"""``iop-async store``: make, look at and re-encrypt what tokens are kept in."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import click

from .._exceptions import IopError
from .._redact import Secret
from .._scrub import scrubs_frames
from ..stores import ConfiguredStore, from_url


@click.group()
def store() -> None:
    """Set up and look at a store of tokens.

    Its URL is better given in the environment (IOP_STORE), where no other user of the machine can
    read its password.
    """


def _at_url(command: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--url",
        envvar="IOP_STORE",
        required=True,
        callback=lambda _context, _option, value: Secret(value),
        help="Where the store is, as for stores.from_url; or IOP_STORE.",
    )(command)


def _run(
    url: str, do: Callable[[ConfiguredStore], Awaitable[Any]], *, accept_plain: bool = False
) -> Any:
    async def opened() -> Any:
        store = from_url(url, accept_plain=accept_plain)
        try:
            return await do(store)
        finally:
            await store.aclose()

    try:
        return anyio.run(opened)
    except (IopError, ImportError, ValueError, TypeError, OSError) as error:
        raise click.ClickException(str(error)) from None


@store.command()
@_at_url
@scrubs_frames
def init(url: str) -> None:
    """Make the tables or the file of the store, where they are missing; again: no harm."""
    _run(url, lambda store: store.create_tables())
    click.echo("the store is there")


@store.command()
@_at_url
@click.option("--scope", default="", help="APP_KEY@GATEWAY_HOST, whose records keys must open.")
@scrubs_frames
def check(url: str, scope: str) -> None:
    """Say whether the store can be used, and what its server promises, as JSON.

    It connects, and tries every right that is needed; nothing is changed. What may lose tokens is
    among the warnings.
    """
    report = _run(url, lambda store: store.check(scope))
    click.echo(json.dumps(attrs.asdict(report), ensure_ascii=False, indent=2))


@store.command()
@click.argument("dialect", type=click.Choice(["postgresql", "mysql", "mariadb", "sqlite"]))
@click.option("--table-prefix", default="iop_", show_default=True)
def ddl(dialect: str, table_prefix: str) -> None:
    """Print the statements that make the tables, for migrations that are written by hand."""
    try:
        from ..stores import SQLAlchemyStore

        statements = SQLAlchemyStore.ddl(dialect, table_prefix=table_prefix)
    except (ImportError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(statements, nl=False)


@store.command()
@_at_url
@click.argument("scopes", nargs=-1, required=True, metavar="APP_KEY@GATEWAY_HOST...")
@click.option("--accept-plain", is_flag=True, help="Encrypt what is in clear text as well.")
@scrubs_frames
def reencrypt(url: str, scopes: tuple[str, ...], *, accept_plain: bool) -> None:
    """Seal records anew with the first key of the store, while others use them."""

    async def seal(store: ConfiguredStore) -> None:
        try:
            from ..stores import EncryptedStore
        except ImportError as error:
            raise click.ClickException(str(error)) from None
        if not isinstance(store, EncryptedStore):
            msg = "the store is not encrypted: its URL takes ?encrypt=env:NAME"
            raise click.ClickException(msg)
        for scope in scopes:
            click.echo(f"{scope}: {await store.reencrypt(scope)} sealed anew")

    _run(url, seal, accept_plain=accept_plain)
