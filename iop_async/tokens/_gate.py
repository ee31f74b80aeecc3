"""A gate that shuts where every refresh would fail alike: a wrong secret, a wrong clock."""

from __future__ import annotations

from datetime import datetime

from .._exceptions import IopError
from ._outcomes import backoff


class Gate:
    """Open, or shut for a while because of an error that is the app's and not a seller's."""

    def __init__(self) -> None:
        self.error: IopError | None = None
        self.until: datetime | None = None
        self._failures = 0

    def shut(self, error: IopError, now: datetime) -> None:
        """Refuse until a backoff is over, longer with every time."""
        self.error = error
        self.until = now + backoff(self._failures, 1.0)
        self._failures += 1

    def open(self) -> None:
        """Something went well."""
        self.error, self.until, self._failures = None, None, 0

    def is_open(self, now: datetime) -> bool:
        """Whether a refresh may be tried."""
        return self.until is None or now >= self.until

    def require_open(self, now: datetime) -> None:
        """Raises the error that shut the gate, while it is shut."""
        if self.error is not None and not self.is_open(now):
            raise self.error.with_traceback(None)
