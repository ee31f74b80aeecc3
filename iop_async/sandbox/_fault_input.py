"""Read faults as they are asked for: as JSON, or in a form where everything is text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ._faults import Fault


def fault_of(members: Mapping[str, Any]) -> Fault:
    """A rule from JSON, or from a form where everything is text. Raises ``ValueError``."""
    if unknown := members.keys() - _READ.keys():
        msg = f"a fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(_READ))}"
        raise ValueError(msg)
    try:
        return Fault(**{name: _READ[name](value) for name, value in members.items()})
    except TypeError as error:
        msg = f"no fault: {error}"
        raise ValueError(msg) from None


def _flag(value: object) -> bool:
    return str(value).lower() in ("true", "1", "on", "yes")


def _times(value: Any) -> int | None:
    return None if value is None or value == "forever" else int(value)


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "kind": str,
    "api": _optional(str),
    "app": _optional(str),
    "seller": _optional(str),
    "times": _times,
    "times_each": _optional(int),
    "after": _flag,
    "seconds": float,
    "calls": int,
    "status": int,
    "retry_after": _optional(int),
    "code": str,
    "message": _optional(str),
    "type": _optional(str),
    "sub_code": _optional(str),
    "sub_message": _optional(str),
    "fields": dict,
    "remove": tuple,
}
