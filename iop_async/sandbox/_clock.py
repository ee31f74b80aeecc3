"""The sandbox's clock: it can be moved, set, sped up and put wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


class Clock:
    """Time as the sandbox lives it.

    Codes, tokens and bans age by :meth:`now`. What the gateway believes the date to be, the
    ``Date`` header and the window for timestamps, is :meth:`wall`: the same, ``skew`` seconds off.
    A test that puts the clock wrong therefore ages nothing.

    Args:
        source: the time that passes; aware datetimes.
    """

    def __init__(self, source: Callable[[], datetime] = utc_now) -> None:
        self._source: Callable[[], datetime] = source
        self._origin: datetime = source()
        self._moment: datetime = self._origin
        self._speed: float = 1.0
        self.skew: float = 0.0

    def now(self) -> datetime:
        """The moment by which things age."""
        return self._moment + (self._source() - self._origin) * self._speed

    def wall(self) -> datetime:
        """The date that the gateway shows and checks timestamps against."""
        return self.now() + timedelta(seconds=self.skew)

    @property
    def speed(self) -> float:
        """Sandbox seconds in a second of the source."""
        return self._speed

    @speed.setter
    def speed(self, factor: float) -> None:
        if not factor >= 0:
            msg = f"speed is {factor}; time runs forward, or stands still at 0"
            raise ValueError(msg)
        self._jump(self.now())
        self._speed = factor

    def advance(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self._jump(self.now() + timedelta(seconds=seconds))

    def set(self, moment: datetime) -> None:
        """Make it ``moment`` (aware), as the gateway shows it."""
        if moment.utcoffset() is None:
            msg = "the clock is set to an aware datetime, such as 2026-01-01T00:00:00Z"
            raise ValueError(msg)
        self._jump(moment.astimezone(UTC) - timedelta(seconds=self.skew))

    def _jump(self, moment: datetime) -> None:
        self._origin, self._moment = self._source(), moment
