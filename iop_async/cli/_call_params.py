"""The parameters of a call: a JSON object, and pairs of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, BinaryIO

import click


def read_params(file: BinaryIO | None) -> Mapping[str, Any]:
    """The object in a file; numbers keep their digits.

    Raises:
        click.UsageError: there is none.
    """
    if file is None:
        return {}
    if file.fileno() == 0 and file.isatty():
        msg = "standard input is a terminal; give --params a file, or a pipe"
        raise click.UsageError(msg)
    problem = "it is no JSON"
    try:
        found = json.loads(file.read(), parse_float=Decimal)
    except json.JSONDecodeError as error:
        # By its place: what stands there may be a secret.
        problem = f"it is no JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    except (ValueError, RecursionError):
        pass
    else:
        if isinstance(found, dict):
            return found
        problem = (
            f"it is no JSON object, but {'an array' if isinstance(found, list) else 'a value'}"
        )
    msg = f"--params: {problem}"
    raise click.UsageError(msg)


def merged(params: Mapping[str, Any], more: Mapping[str, str]) -> dict[str, Any]:
    """Both; of a name in both the one of the command line."""
    return {**params, **more}
