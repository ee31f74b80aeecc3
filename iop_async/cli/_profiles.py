"""The config file: settings by the names of profiles."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import click

from .._secret_sources import is_open_to_others, is_source
from ._output import warn

DEFAULT: Final = "default"
"""The profile that is read where nobody names one."""


def config_path(given: str | None) -> Path:
    """The config file: as given, or in the directory that the platform has for such files."""
    path = given or os.environ.get("IOP_CONFIG")
    return Path(path) if path else Path(click.get_app_dir("iop-async")) / "config.toml"


class Profiles:
    """What a config file says; nothing where there is none and nobody asked for it.

    A file looks like this::

        default = "live"

        [profiles.live]
        app_key = "12345678"
        app_secret = "command:pass show shop/live"
        gateway = "lazada_sg"
        store = "sqlite:////var/lib/shop/tokens.db"

    Raises:
        click.UsageError: it cannot be read, or says what nobody reads.
    """

    def __init__(self, path: Path, known: Collection[str], *, is_asked_for: bool) -> None:
        self.path = path
        self._known = known
        self._document: Mapping[str, Any] = {}
        try:
            with path.open("rb") as file:
                self._file = os.fstat(file.fileno())
                self._document = tomllib.load(file)
        except FileNotFoundError:
            if is_asked_for:
                self._refuse("there is no such file")
        except PermissionError as error:
            if is_asked_for:
                self._refuse(error.strerror or type(error).__name__)
            # of another user's home, that a service is started with
            warn(f"{path}: {error.strerror or type(error).__name__}; going on without it")
        except OSError as error:
            self._refuse(error.strerror or type(error).__name__)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            # Without the words of the parser, which may quote a secret.
            self._refuse("it is no TOML")
        self._require(self._document, {"default", "profiles"}, "")

    @property
    def names(self) -> list[str]:
        """Of all profiles."""
        profiles = self._document.get("profiles", {})
        return sorted(profiles) if isinstance(profiles, dict) else []

    def settings(self, name: str | None, secret: Collection[str]) -> dict[str, str]:
        """The settings of a profile, or of the default one.

        Args:
            name: of the profile.
            secret: the settings that are for no other eyes.
        """
        profile = name or self._document.get("default") or DEFAULT
        if profile not in self.names:
            if name or "default" in self._document:
                known = ", ".join(self.names) or "none"
                self._refuse(f"there is no profile {profile!r}; there are: {known}")
            return {}
        table = self._document["profiles"][profile]
        if not isinstance(table, dict):
            self._refuse(f"profiles.{profile} is no table")
        self._require(table, self._known, f" in the profile {profile!r}")
        found = {each: self._text(profile, each, value) for each, value in table.items()}
        if any(each in secret and not is_source(value) for each, value in found.items()):
            self._warn_of_readers()
        return found

    def _text(self, profile: str, name: str, value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, (str, int)):
            self._refuse(f"{name} in the profile {profile!r} is no text")
        return str(value)

    def _require(self, table: Mapping[str, Any], known: Collection[str], where: str) -> None:
        for name in table.keys() - set(known):
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self._refuse(f"nobody reads {name[:40]!r}{where}{hint}")

    def _warn_of_readers(self) -> None:
        if is_open_to_others(self._file):
            warn(
                f"{self.path} holds secrets, and other users of this machine may read it: "
                f"chmod 600 {self.path}"
            )

    def _refuse(self, why: str) -> None:
        msg = f"{self.path}: {why}"
        raise click.UsageError(msg)
