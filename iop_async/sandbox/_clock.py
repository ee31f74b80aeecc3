"""The sandbox's clock, which can be moved, sped up and put wrong; the dates of clients."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Final

# DOC:101617: the zone of every time that TOP reads or writes.
CHINA: Final = timezone(timedelta(hours=8))

_EARLIEST: Final = datetime(1971, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2500, 1, 1, tzinfo=UTC)
_MAX_SPEED: Final = 100_000.0
"""Beyond these a clock would soon be where no date is, and could not be moved back."""

_MILLISECONDS = re.compile(r"\d{13}", re.ASCII).fullmatch
_UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII).fullmatch
_CHINA_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII).fullmatch


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

    Example::

        sandbox.clock.skew = 3600  # the gateway's clock is an hour ahead
        assert sandbox.clock.wall() > sandbox.clock.now()
        sandbox.clock.skew = 0
    """

    def __init__(self, source: Callable[[], datetime] = utc_now) -> None:
        self._source: Callable[[], datetime] = source
        self._origin: datetime = source()
        self._moment: datetime = self._origin
        self._speed: float = 1.0
        self._skew: float = 0.0

    def now(self) -> datetime:
        """The moment by which things age."""
        return self._moment + (self._source() - self._origin) * self._speed

    def wall(self) -> datetime:
        """The date that the gateway shows and checks timestamps against."""
        return self.now() + timedelta(seconds=self.skew)

    def http_date(self) -> str:
        """The date that the gateway shows, as a ``Date`` header has it."""
        return format_datetime(self.wall(), usegmt=True)

    @property
    def speed(self) -> float:
        """Sandbox seconds in a second of the source."""
        return self._speed

    @speed.setter
    def speed(self, factor: float) -> None:
        if not 0 <= factor <= _MAX_SPEED:
            msg = (
                f"speed is {factor}; time runs forward, {_MAX_SPEED:.0f} times as fast at most, or "
            )
            msg += "stands still at 0"
            raise ValueError(msg)
        self._jump(self.now())
        self._speed = factor

    @property
    def skew(self) -> float:
        """Seconds that the date is ahead of the moment."""
        return self._skew

    @skew.setter
    def skew(self, seconds: float) -> None:
        _moved(self.now(), seconds)
        self._skew = seconds

    def advance(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self._jump(_moved(self.now(), seconds))

    def set(self, moment: datetime) -> None:
        """Make it ``moment`` (aware), as the gateway shows it."""
        if moment.utcoffset() is None:
            msg = "the clock is set to an aware datetime, such as 2026-01-01T00:00:00Z"
            raise ValueError(msg)
        self._jump(_moved(moment.astimezone(UTC), -self.skew))

    def _jump(self, moment: datetime) -> None:
        self._origin, self._moment = self._source(), moment


def _moved(moment: datetime, seconds: float) -> datetime:
    """Raises ``ValueError`` where a clock that is moved so could not tell the time for long."""
    try:
        target = moment + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        target = None
    if target is None or not _EARLIEST <= target <= _LATEST:
        msg = f"the clock is kept between {_EARLIEST:%Y-%m-%d} and {_LATEST:%Y-%m-%d}"
        raise ValueError(msg)
    return target


def milliseconds(text: str) -> datetime | None:
    """The moment that epoch milliseconds of 13 digits name, if the text is one."""
    return datetime.fromtimestamp(int(text) / 1000, UTC) if _MILLISECONDS(text) else None


def utc_time(text: str) -> datetime | None:
    """The moment of ``2017-11-11T12:00:00Z``, if the text is one."""
    return _parse(text) if _UTC_TIME(text) else None


def china_time(text: str) -> datetime | None:
    """The moment of ``2016-01-01 12:00:00`` in China, if the text is one."""
    moment = _parse(text) if _CHINA_TIME(text) else None
    return moment and moment.replace(tzinfo=CHINA)


def _parse(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
