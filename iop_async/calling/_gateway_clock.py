"""The time as the gateway has it, learned from the ``Date`` of its answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from .._exceptions import ClockError
from .._refusals import date_of

_SAMPLES: Final = 5
_AGREEMENT: Final = 3.0
"""Seconds that so many samples may lie apart for one another's sake: a ``Date`` has whole seconds,
and what came late or out of a cache says something else."""

_LONGEST_EXCHANGE: Final = 2.0
"""Seconds of an exchange from which something can be learned."""

_SAME: Final = 60.0
"""Seconds between a timestamp and the ``Date`` of its refusal that are no reason for that."""

_WORTH: Final = 5.0
"""Seconds of an offset that is corrected; this machine's clock is as good below it."""

# 108069: timestamps are taken within 7200 seconds. Where ours are, a Date further off is wrong.
_TOLERATED: Final = 7200.0
_NONE: Final = timedelta(0)


class GatewayClock:
    """A machine's clock, put right by a gateway's.

    Answers that agree are believed up to what the gateway tolerates of a timestamp. More than that
    is believed where it refuses one: then its ``Date`` is tried at once.

    Args:
        host: this machine's clock: aware datetimes.

    Attributes:
        offset: what is added to it.
        last_date: the ``Date`` that was looked at last; the same one says nothing new.
    """

    def __init__(self, host: Callable[[], datetime]) -> None:
        self._host = host
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._is_believed = True
        self.offset: timedelta = _NONE
        self.last_date: str | None = None

    def now(self) -> datetime:
        """The gateway's time, as far as is known."""
        return self._host() + self.offset

    def learn(self, date: str | None, sent_at: datetime) -> None:
        """Take in the ``Date`` of an answer.

        Args:
            sent_at: when its request was sent, by this machine's clock.
        """
        self.last_date = date
        seconds = (self._host() - sent_at).total_seconds()
        if not self._is_believed or not 0 <= seconds <= _LONGEST_EXCHANGE:
            return
        if (moment := date_of(date)) is None:
            return
        # A Date is cut down to whole seconds, and was written at some moment of the exchange.
        self._samples.append((moment - sent_at).total_seconds() + 0.5 - seconds / 2)
        middle = median(self._samples)
        if len(self._samples) < _SAMPLES or any(
            abs(sample - middle) > _AGREEMENT for sample in self._samples
        ):
            return
        if abs(middle - self.offset.total_seconds()) <= _TOLERATED:
            self._set(middle)

    def refused(self, error: ClockError) -> bool:
        """Whether a call whose timestamp was refused may be stamped better now."""
        if error.correction != self.offset:  # by what another call learned meanwhile
            return True
        self._samples.clear()
        off = error.offset
        if off is not None and abs(off + error.correction) >= timedelta(seconds=_SAME):
            self._set(-off.total_seconds())
            return True
        # Its Date is what it refused, or there is none: this machine's own clock is left.
        was_corrected, self.offset = self.offset != _NONE, _NONE
        self._is_believed = self._is_believed and not was_corrected
        return was_corrected

    def _set(self, seconds: float) -> None:
        self.offset = timedelta(seconds=seconds) if abs(seconds) >= _WORTH else _NONE
