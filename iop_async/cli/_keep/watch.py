"""What a keeper's pages tell of it: how it is now, and what happened lately."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Final, Literal, TypeAlias

import anyio
from attrs import define, field

from ...tokens import EventStream, Health, TokenEvent, TokenManager
from .logs import log_event
from .metrics import Metrics

Phase: TypeAlias = Literal["starting", "keeping", "draining"]

_SAME_FOR: Final = 1.0
"""Seconds that one look at the manager does for all who ask, however many there are."""


@define(eq=False)
class Watch:
    """A manager, seen by its pages.

    Attributes:
        phase: between which of its ends it is.
        events: the latest, the last one first; ``incidents`` those that are nobody's.
    """

    tokens: TokenManager
    stream: EventStream
    metrics: Metrics
    phase: Phase = "starting"
    events: deque[TokenEvent] = field(factory=lambda: deque(maxlen=15))
    incidents: deque[TokenEvent] = field(factory=lambda: deque(maxlen=15))
    _health: Health | None = None
    _looked_at: float = float("-inf")
    _looking: anyio.Lock = field(factory=anyio.Lock)

    async def follow(self) -> None:
        """Log, count and remember what happens, until the manager is left."""
        async for event in self.stream:
            log_event(event)
            self.metrics.count(event.kind)
            self.events.appendleft(event)
            if event.kind in ("incident", "incident_over", "error"):
                self.incidents.appendleft(event)

    async def health(self) -> Health | None:
        """How the manager is; ``None`` before it was entered, and where it does not run."""
        async with self._looking:
            if monotonic() - self._looked_at > _SAME_FOR:
                try:
                    self._health = await self.tokens.health()
                except RuntimeError:
                    self._health = None
                self._looked_at = monotonic()
        return self._health
