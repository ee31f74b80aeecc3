"""Settings that commands share: from options, from ``IOP_*`` variables, from a profile."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

import click
from attrs import frozen

from .._redact import Secret
from .._secret_sources import read_line, read_secret
from ._profiles import Profiles, config_path


@frozen
class Setting:
    """What somebody may set.

    Attributes:
        name: in a profile.
        meaning: in words.
        help: what to give.
        is_secret: no other user of the machine should see it; ``-`` reads it from standard input,
            and ``file:PATH``, ``command:...`` and ``env:NAME`` say where it is.
    """

    name: str
    meaning: str
    help: str
    metavar: str = "TEXT"
    is_secret: bool = False
    is_flag: bool = False
    also: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Of the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Of the environment."""
        return f"IOP_{self.name.upper()}"


SETTINGS: Final[Mapping[str, Setting]] = {
    each.name: each
    for each in (
        Setting("app_key", "app key", "The app's key.", "KEY"),
        Setting("app_secret", "app secret", "The app's secret.", "SECRET", is_secret=True),
        Setting(
            "gateway", "gateway", "A market's name, or the URL of a gateway.", "NAME|URL"
        ),
        Setting(
            "allow_http",
            "allow_http",
            "Take a gateway in clear text on another machine.",
            is_flag=True,
        ),
        Setting("store", "store", "Where tokens are kept.", "URL", is_secret=True, also=("--url",)),
        Setting("scope", "scope", "Where the app's token manager has a scope of its own."),
        Setting(
            "journal", "journal", "A file for token pairs that the store does not take.", "FILE"
        ),
        Setting(
            "access_token", "access token", "A seller's token.", "TOKEN", is_secret=True
        ),
        Setting(
            "proxy", "proxy", "http://host:port of a proxy to go through.", "URL", is_secret=True
        ),
        Setting(
            "redirect_uri", "redirect_uri", "The callback that the app has in its console.", "URI"
        ),
    )
}  # fmt: skip


class Settings:
    """The settings of one command; an option goes before a variable, and that before a profile.

    Args:
        given: by options.
        profile: the name of one; that of ``IOP_PROFILE`` or the default by default.
        config: the path of the config file.
    """

    def __init__(
        self, given: Mapping[str, str | None], *, profile: str | None, config: str | None
    ) -> None:
        self._given = given
        self._config = config_path(config)
        self._profile = profile or os.environ.get("IOP_PROFILE") or None
        is_asked_for = bool(config or os.environ.get("IOP_CONFIG") or self._profile)
        profiles = Profiles(self._config, SETTINGS, is_asked_for=is_asked_for)
        secret = {name for name, setting in SETTINGS.items() if setting.is_secret}
        self._from_profile = profiles.settings(self._profile, secret)
        self._read: dict[str, str] = {}

    def take_lines(self) -> None:
        """Read what is to be read from standard input, a line each, in the order of the options."""
        for name, value in self._given.items():
            if value == "-":
                self.get(name)

    def get(self, name: str) -> str | None:
        """A setting, read from where it is; ``None`` where nobody gave it.

        Raises:
            ValueError: it cannot be read from where it is.
        """
        if name not in self._read:
            setting = SETTINGS[name]
            found = (
                self._given.get(name)
                or os.environ.get(setting.variable)
                or self._from_profile.get(name)
            )
            if not found:
                return None
            self._read[name] = _secret(setting, found) if setting.is_secret else found
        return self._read[name]

    def require(self, name: str) -> str:
        """A setting that the command cannot do without.

        Raises:
            click.UsageError: nobody gave it; the message says how to.
        """
        value = self.get(name)
        if value is None:
            setting = SETTINGS[name]
            msg = (
                f"there is no {setting.meaning}: give {setting.option}, set {setting.variable}, or "
                f"write {name} = ... into a profile of {self._config}"
            )
            raise click.UsageError(msg)
        return value

    def is_set(self, name: str) -> bool:
        """Whether a flag is set.

        Raises:
            click.UsageError: it says neither yes nor no.
        """
        text = (self.get(name) or "false").lower()
        if text not in _TRUTHS:
            msg = f"{SETTINGS[name].variable} is neither true nor false"
            raise click.UsageError(msg)
        return _TRUTHS[text]


_TRUTHS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _secret(setting: Setting, given: str) -> str:
    if given != "-":
        return read_secret(f"the {setting.meaning}", given)
    if sys.stdin.isatty():
        return Secret(click.prompt(setting.meaning, hide_input=True, err=True))
    return read_line(f"the {setting.meaning}")
