"""The calls that came last, and what became of each: for people who look for a mistake."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import field, frozen

from ._signatures import SECRETS, Mistake

_KEPT: Final = 100
_MAX_PARAMS: Final = 40
_MAX_VALUE: Final = 200


@frozen(kw_only=True)
class SeenCall:
    """A call, without its secrets, and cut where it is long.

    Attributes:
        at: when, by the sandbox's clock.
        http_method, path: of the request.
        api, app, seller_id: whose call of what; the last ``None`` where no token tells.
        params: as they came, secrets masked.
        files: how many were uploaded.
        code: the verdict: ``"0"``, a gateway code, or ``fault:`` and its kind.
        message: of a refusal.
        mistake: of a wrong signature.
    """

    at: datetime
    http_method: str
    path: str
    api: str
    app: str
    seller_id: str | None
    params: Mapping[str, str]
    files: int
    code: str
    message: str = ""
    mistake: Mistake | None = None


@frozen
class SeenCalls:
    """The last hundred calls, the latest first."""

    calls: deque[SeenCall] = field(factory=lambda: deque(maxlen=_KEPT))

    def add(self, call: SeenCall) -> None:
        """Remember a call, and forget the oldest where there are too many."""
        self.calls.appendleft(call)


def shown(params: Mapping[str, str]) -> dict[str, str]:
    """Parameters for an eye: secrets masked, long ones cut, the first of many."""
    names = list(params)
    kept = {cut(name): _value(name, params[name]) for name in names[:_MAX_PARAMS]}
    if len(names) > _MAX_PARAMS:
        kept["..."] = f"{len(names) - _MAX_PARAMS} more"
    return kept


def _value(name: str, value: str) -> str:
    return "***" if name in SECRETS and value else cut(value)


def cut(text: str) -> str:
    """A text that is not too long to be shown."""
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}... ({len(text)} characters)"
