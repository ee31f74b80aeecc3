"""How long a request may take, phase by phase."""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen

from .._inputs import require_seconds


def _seconds(default: float) -> Any:
    def validate(_instance: object, attribute: Any, value: object) -> None:
        require_seconds(attribute.name, value)

    return field(default=default, validator=validate)


@frozen(kw_only=True)
class Timeouts:
    """Limits on the duration of a request: seconds, more than 0; ``None`` waits for ever.

    Attributes:
        connect: until a new connection stands; once for TCP and once for TLS.
        read: until the answer begins, and between any two pieces of it.
        write: for each piece (256 KiB) of a large request.
        pool: waiting for a connection while all are in use.
        total: for everything, from waiting for a connection to the last byte of the answer; but
            not of a download, which has a limit of its own.

    Time is never up before what has arrived was read: a process that stood still for a minute gets
    the answers that came meanwhile, and a moment (2 s at most) to take them in.

    Example::

        transport = iop.HttpxTransport(timeouts=iop.Timeouts(read=10, total=20))
    """

    connect: float | None = _seconds(10)
    read: float | None = _seconds(30)
    write: float | None = _seconds(30)
    pool: float | None = _seconds(10)
    total: float | None = _seconds(60)


DEFAULT_TIMEOUTS: Final = Timeouts()


def require_timeouts(value: object) -> None:
    """Raises ``TypeError`` for what is no :class:`Timeouts`."""
    if not isinstance(value, Timeouts):
        msg = f"timeouts is {value!r}; give iop_async.Timeouts(total=...)"
        raise TypeError(msg)
