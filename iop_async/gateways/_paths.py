"""Paths of REST 2.0, with parameters in them: ``/2.0/orders/{orderId}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PREFIX: Final = (
    "/2.0"  # observed: the official Java SDK; DOC:120693 shows a path with a name in it
)
_NAME: Final = re.compile(r"\{(\w+)\}")
_STEP: Final = re.compile(r"\w[\w.~-]*", re.ASCII)


def fill(api: str, params: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """The path with the values in it, and the names of the parameters that they are of.

    Raises:
        ValueError: a parameter of the path is missing, or cannot stand in one; a path that is not
            of REST 2.0 has any.
    """
    names = frozenset(_NAME.findall(api)) if "{" in api else frozenset()
    if not names:
        return api, names
    if not api.startswith(f"{_PREFIX}/"):
        msg = (
            f"{api} has {{…}}, as the paths of REST 2.0 have: call '{_PREFIX}{api}', or fill it in"
        )
        raise ValueError(msg)
    if missing := names - params.keys():
        msg = f"{api} needs {', '.join(sorted(missing))}; give a value in params"
        raise ValueError(msg)
    for name in sorted(names):
        # assumed: a slash or an escape would be signed otherwise than it is read.
        if not _STEP.fullmatch(params[name]):
            msg = (
                f"{name} stands in the path of {api}: it takes letters, digits, '.', '_', '~', '-'"
            )
            raise ValueError(msg)
    return _NAME.sub(lambda found: params[found[1]], api), names


def signed_path(path: str) -> str:
    """The part of a path that the signature begins with."""
    # observed: the official Java SDK appends /rest/2.0 to the address and signs the path alone.
    return path.removeprefix(_PREFIX) if path.startswith(f"{_PREFIX}/") else path
