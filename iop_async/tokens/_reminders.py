"""Telling of what ends by the clock, and whether the clock can be trusted with that."""

from __future__ import annotations

from typing import Final

from .._clock import Clock
from .._values import changed
from ._events import Announcer, EventKind
from ._grant import LAST_WARNING, Grant, warned, warning_due

STEP: Final = 60.0
"""Seconds by which a clock is set so that it counts; less is drift."""

_IN_DOUBT: Final = 600.0
"""Seconds for which a clock that was set tells nobody to authorize again: it may be put right."""


class ClockSteps:
    """Notices that a host's clock was set: it goes another way than time passes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._passed = clock.now(), clock.monotonic()

    def look(self) -> float:
        """Seconds by which the clock was set since the last look; less than 0 for back."""
        now, passed = self._clock.now(), self._clock.monotonic()
        stepped = (now - self._wall).total_seconds() - (passed - self._passed)
        self._wall, self._passed = now, passed
        return stepped


class Reminders:
    """Tells when a grant's end is near, each warning once, and by no clock that was just set.

    A warning that was told is never told again, and after the last nobody looks at the grant.
    """

    def __init__(self, clock: Clock, announcer: Announcer) -> None:
        self._clock = clock
        self._announcer = announcer
        self._steps = ClockSteps(clock)
        self._doubted_until = float("-inf")

    def tell(self, grant: Grant) -> Grant:
        """Tell what is due to be told of a grant, which then says that it was."""
        if abs(self._steps.look()) > STEP:
            self._doubted_until = self._clock.monotonic() + _IN_DOUBT
        now = self._clock.now()
        warning = warning_due(grant, now)
        if warning is None or self._clock.monotonic() < self._doubted_until:
            return grant
        kind: EventKind = "reauthorize" if warning == LAST_WARNING else "authorize_by"
        self._announcer.tell(kind, now, grant, warning)
        return changed(grant, warned=warned(grant, warning))
