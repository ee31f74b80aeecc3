"""Tokens that stay fresh: a manager that refreshes, persists and watches sellers' grants."""

from ._clock import Clock, SystemClock
from ._events import EventKind, EventStream, TokenEvent
from ._manager import TokenManager
from ._reports import Progress, RefreshReport, SellerStatus

__all__ = [
    "Clock",
    "EventKind",
    "EventStream",
    "Progress",
    "RefreshReport",
    "SellerStatus",
    "SystemClock",
    "TokenEvent",
    "TokenManager",
]
