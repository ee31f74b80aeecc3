"""Options of the form ``NAME=VALUE``."""

from __future__ import annotations

from typing import Any

import click

from .._redact import Secret


def pairs(separator: str, form: str) -> Any:
    """The callback of an option that is given several times; values are hidden from ``repr``."""

    def split(_context: object, _option: object, values: tuple[str, ...]) -> dict[str, str]:
        found: dict[str, str] = {}
        for place, value in enumerate(values, 1):
            left, separated, right = value.partition(separator)
            if not (left and separated):
                # By its place: all of it may be a secret.
                msg = f"number {place} is not of the form {form}"
                raise click.BadParameter(msg)
            found[left] = Secret(right)
        return found

    return split
