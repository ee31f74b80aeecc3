"""The forms in which the platforms write a time.

A ``datetime`` among the parameters of a call is sent in the form of its gateway, which is the one
that most of the market's APIs document. These functions are for the others::

    when = iop.dates.milliseconds(datetime(2026, 2, 10, 1, tzinfo=UTC))
    await seller.call("/orders/get", {"update_after": when})
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE: Final = timedelta(minutes=1)
_CHINA: Final = timezone(timedelta(hours=8))


def milliseconds(when: datetime) -> str:
    """Milliseconds since 1970, UTC: ``1770685200000``.

    Raises:
        ValueError: a naive ``datetime``, as with all of these.

    Example::

        when = datetime(2026, 2, 10, 1, tzinfo=UTC)
        assert iop.dates.milliseconds(when) == "1770685200000"
    """
    # 108069: 13 digits. observed: the official Java SDK sends a Date so; Lazada's returns,
    # promotions and logistics want it too.
    since = _aware(when) - _EPOCH
    return str(since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000)


def iso8601(when: datetime) -> str:
    """ISO 8601 with the offset of its zone, to the second: ``2026-02-10T09:00:00+08:00``.

    Example::

        when = datetime(2026, 2, 10, 1, tzinfo=UTC)
        assert iop.dates.iso8601(when) == "2026-02-10T01:00:00+00:00"
    """
    # observed: Lazada's orders, products and partner APIs; of Miravia with +00:00, of Daraz with Z.
    offset = _aware(when).utcoffset()
    # Zones of long ago have offsets with seconds, which the standard does not know.
    when = when.astimezone(UTC) if offset and offset % _MINUTE else when
    return when.isoformat(timespec="seconds")


def utc(when: datetime) -> str:
    """UTC, to the second: ``2026-02-10T01:00:00Z``.

    Example::

        when = datetime(2026, 2, 10, 1, tzinfo=UTC)
        assert iop.dates.utc(when) == "2026-02-10T01:00:00Z"
    """
    # observed: Lazada's inbound orders; 108069 allows it as timestamp.
    return f"{_aware(when).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def gmt8(when: datetime) -> str:
    """China's time, to the second: ``2026-02-10 09:00:00``.

    Example::

        when = datetime(2026, 2, 10, 1, tzinfo=UTC)
        assert iop.dates.gmt8(when) == "2026-02-10 09:00:00"
    """
    # DOC:101617: the form and zone of every time of TOP, whatever the machine's.
    return f"{_aware(when).astimezone(_CHINA):%Y-%m-%d %H:%M:%S}"


def _aware(when: datetime) -> datetime:
    if when.tzinfo is not UTC and when.utcoffset() is None:
        msg = "a naive datetime; give it a time zone, such as datetime.now(UTC)"
        raise ValueError(msg)
    return when
