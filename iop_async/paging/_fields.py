"""What an answer says of its pages, wherever it says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .._models import Reply

# observed: Lazada's orders, ICBU, Lazada's products, TOP, AliExpress. A plain `count` is that of
# the page (Lazada), and a plain `total` may be an amount of money.
TOTALS: Final = (
    "countTotal", "total_count", "totalCount", "total_products", "total_results",
    "total_record_count",
)  # fmt: skip
MORE: Final = ("has_more", "hasMore", "has_next", "hasNext")  # observed: TOP and its heirs


def find(data: Any, place: str) -> Any:
    """What stands at ``a.b.-1.c``; ``None`` where there is nothing."""
    for step in place.split(".") if place else ():
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.removeprefix("-").isdecimal():
            data = data[int(step)] if -len(data) <= int(step) < len(data) else None
        else:
            return None
    return data


def around(reply: Reply, place: str) -> list[Mapping[str, Any]]:
    """The objects around a place in the data, the innermost first, the whole answer last."""
    steps = place.split(".")
    inner = [find(reply.data, ".".join(steps[:end])) for end in range(len(steps) - 1, 0, -1)]
    return [each for each in (*inner, reply.data, reply.body) if isinstance(each, Mapping)]


def first_of(objects: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Any:
    """The first value by one of the names; ``None`` where there is none."""
    return next(
        (each[name] for each in objects for name in names if each.get(name) is not None), None
    )


def number(value: Any) -> int | None:
    """A count; ``None`` for what is none."""
    # observed: `countTotal` is text or number.
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def scalar(value: Any) -> str | int:
    """A cursor as it is sent: exact digits, or text."""
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
