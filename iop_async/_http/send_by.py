"""A moment after which a request may no longer be sent, looked at when its first byte goes out.

A process may stand still between any two of its steps, and go on when what it was about to send
has become wrong: a refresh token, say, that another process was given to present meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

from .._exceptions import TransportError

_moment: ContextVar[float | None] = ContextVar("send_by", default=None)


@contextmanager
def sending_by(moment: float | None) -> Iterator[None]:
    """Requests of this task are sent before ``moment`` (of ``time.monotonic``), or not at all."""
    token = _moment.set(moment)
    try:
        yield
    finally:
        _moment.reset(token)


def require_time() -> None:
    """Raises ``TransportError`` where it is too late to begin to send."""
    moment = _moment.get()
    if moment is not None and monotonic() >= moment:
        msg = "not sent: the time in which it might be sent was over"
        error = TransportError(msg, may_have_been_applied=False)
        error.retryable = True
        raise error
