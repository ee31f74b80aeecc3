"""Which dialect is spoken at which path; adding one is a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ._dialect import Dialect
from ._iop.dialects import REST, SYNC
from ._top.dialects import BATCH, ROUTER

_EXACT: Final[Mapping[str, Dialect]] = {
    "/rest": REST,
    "/sync": SYNC,
    "/router/rest": ROUTER,
    "/api": ROUTER,
    "/router/batch": BATCH,
}


def dialect_of(path: str) -> Dialect | None:
    """The dialect spoken at a path, if any."""
    return REST if path.startswith("/rest/") else _EXACT.get(path.rstrip("/"))
