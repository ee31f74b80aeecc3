"""All commands, each imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from ._group import Root

_MODULES: Final = {
    "call": "_call",
    "completion": "_completion",
    "demo": "_demo_command",
    "keep": "_keep",
    "login": "_login",
    "sandbox": "_sandbox",
    "store": "_store",
    "tokens": "_tokens",
}
"""Where the command of a name is, which bears that name there too."""


class _Commands(Root):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in _MODULES:
            return None
        command: click.Command = getattr(import_module(f".{_MODULES[name]}", __package__), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="iop-async")
def commands() -> None:
    """Work with Alibaba's open platforms from the command line.

    Whatever a command is to know stands in an option, in a variable of the environment (IOP_...),
    or in a profile of the config file, in this order. A secret is better not given as it is, since
    other users of the machine see the arguments of commands: file:PATH, command:PROGRAM ARGS and
    env:NAME say where it is, and - reads it from standard input.
    """
