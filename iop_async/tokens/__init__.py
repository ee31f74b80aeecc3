"""Tokens that stay fresh: a manager that refreshes, persists and watches sellers' grants.

Example::

    async with iop.TokenManager(client, iop.stores.SQLiteStore("tokens.db")) as tokens:
        token = await tokens.authorize(code)
        seller_id, *others = iop.tokens.seller_ids_of(token)
        await tokens.seller(seller_id).call("/orders/get", {"limit": 10})
"""

from .._clock import Clock, SystemClock
from ._events import EventKind, EventStream, TokenEvent
from ._grant import seller_ids_of
from ._health import AtStake, Health
from ._inspection import StoredGrant, read_grant
from ._manager import TokenManager
from ._reports import (
    ImportOutcome,
    ImportProgress,
    ImportReport,
    Progress,
    RefreshReport,
    SellerStatus,
)
from ._survey import Survey

__all__ = [
    "AtStake",
    "Clock",
    "EventKind",
    "EventStream",
    "Health",
    "ImportOutcome",
    "ImportProgress",
    "ImportReport",
    "Progress",
    "RefreshReport",
    "SellerStatus",
    "StoredGrant",
    "Survey",
    "SystemClock",
    "TokenEvent",
    "TokenManager",
    "read_grant",
    "seller_ids_of",
]
