"""Options that several commands have, and what they read from them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

import click

from .. import gateways
from .._redact import Secret
from ._profiles import Profiles, config_path
from ._settings import SETTINGS, Setting, Settings


def takes(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a command that reads these settings: it gets ``settings`` as its first argument."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def run(*args: Any, profile: str | None, config: str | None, **options: Any) -> None:
            given = {name: options.pop(name) for name in names}
            settings = Settings(given, profile=profile, config=config)
            settings.take_lines()  # before the command reads the rest
            command(settings, *args, **options)

        decorated: Callable[..., None] = _config(_profile(run))
        for name in reversed(names):
            decorated = _option(SETTINGS[name])(decorated)
        return decorated

    return decorate


def _option(setting: Setting) -> Callable[[Callable[..., None]], Callable[..., None]]:
    words = f"{setting.help}  [env: {setting.variable}]"
    if setting.is_flag:
        return click.option(
            setting.option, setting.name, is_flag=True, callback=_as_text, help=words
        )
    return click.option(
        setting.option,
        *setting.also,
        setting.name,
        metavar=setting.metavar,
        callback=hidden if setting.is_secret else None,
        shell_complete=_complete_gateway if setting.name == "gateway" else None,
        help=words,
    )


def _complete_gateway(_context: object, _option: object, begun: str) -> list[str]:
    names = (name.lower() for name in gateways.__all__ if name.isupper())
    return [name for name in names if name.startswith(begun)]


def _complete_profile(context: click.Context, _option: object, begun: str) -> list[str]:
    path = config_path(context.params.get("config"))
    names: list[str] = []
    with suppress(click.ClickException):  # a shell completes nothing then
        names = Profiles(path, SETTINGS, is_asked_for=False).names
    return [name for name in names if name.startswith(begun)]


_profile = click.option(
    "--profile",
    metavar="NAME",
    shell_complete=_complete_profile,
    help="A profile of the config file.  [env: IOP_PROFILE]",
)
_config = click.option(
    "--config",
    type=click.Path(dir_okay=False),
    help="The config file, instead of your own.  [env: IOP_CONFIG]",
)


def _as_text(_context: object, _option: object, value: bool) -> str | None:  # noqa: FBT001 - click's
    return "true" if value else None


def hidden(_context: object, _option: object, value: str | None) -> Secret | None:
    """Hides a value from the frames of click, which a reporter of errors may print."""
    return None if value is None else Secret(value)
