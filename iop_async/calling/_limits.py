"""How many calls a client makes: what a user says about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from .._inputs import api_name, require_count


def _require_rate(_instance: object, attribute: Any, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        msg = f"{attribute.name} is {value!r}; give calls a second, more than 0, or None"
        raise ValueError(msg)


def _require_in_flight(_instance: object, attribute: Any, value: Any) -> None:
    if value is not None:
        require_count(attribute.name, value)


def _require_narrower(name: str, value: object) -> None:
    if not isinstance(value, Limits):
        msg = f"{name} is a {type(value).__name__}; give an iop_async Limits"
        raise TypeError(msg)
    if value.apis or value.each_seller is not None:
        msg = f"{name} has limits within it; give per_second and in_flight only"
        raise ValueError(msg)


def _by_api(value: Any) -> dict[str, Limits]:
    if not isinstance(value, Mapping):
        msg = f"apis is of type {type(value).__name__}; give a mapping of API names to Limits"
        raise TypeError(msg)
    return {api_name(api): limits for api, limits in value.items()}


@frozen
class Limits:
    """How many calls are made, in each event loop; whoever is beyond that waits for its turn.

    The turns go round between sellers, so that a thousand calls of one do not keep another's
    waiting. Calls for tokens are counted, and go first. A batch is one in flight, and waits for the
    turn of each of its calls.

    Attributes:
        per_second: calls begun in a second, evenly spaced; ``None`` for any number.
        in_flight: calls under way at a time; ``None`` for any number.
        apis: narrower limits of single APIs, by their names.
        each_seller: narrower limits of each seller, who is told by the access token.

    Example::

        limits = iop.Limits(per_second=20, in_flight=50, each_seller=iop.Limits(in_flight=5))
        async with iop.Client(app, gateway, limits=limits) as client:
            await client.as_seller(token).call("/orders/get")
    """

    per_second: float | None = field(default=None, validator=_require_rate)
    in_flight: int | None = field(default=None, validator=_require_in_flight)
    apis: Mapping[str, Limits] = field(factory=dict, converter=_by_api, kw_only=True)
    each_seller: Limits | None = field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for api, limits in self.apis.items():
            _require_narrower(f"apis[{api!r}]", limits)
        if self.each_seller is not None:
            _require_narrower("each_seller", self.each_seller)
