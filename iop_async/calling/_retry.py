"""Whether a call that failed is tried again, and when: pure, but for the budget's count."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, Final

from attrs import field, frozen

from .._exceptions import IopError, Throttled, TransportError
from .._inputs import require_count, require_seconds
from .._models import Call
from ._backoff import BAN_MARGIN, backoff

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 8.0
"""Seconds of backoff at most after the first failure, doubling to at most so many."""

_SHARE: Final = 0.1
_BURST: Final = 100.0
_PER_SECOND: Final = 1.0

# observed: /product/get, aliexpress.trade.order.query, taobao.items.list, /traffic/item/search
_READ: Final = re.compile(r"(?:.*[/._])?(?:get|query|list|search)/?", re.IGNORECASE)


def _require_attempts(_instance: object, attribute: Any, value: Any) -> None:
    require_count(attribute.name, value)


def _require_within(_instance: object, attribute: Any, value: Any) -> None:
    require_seconds(attribute.name, value)


@frozen
class Retry:
    """How a call that failed is tried again.

    What was certainly not applied is tried again; what may have been applied only where the call
    is idempotent: ``idempotent=True``, or a read by its name (``/order/get``, ``….query``,
    ``….list``, ``…search``) unless ``idempotent=False``. Tries are spread by exponential backoff
    with full jitter, never come before what the gateway names (``Retry-After``, the seconds of a
    ban), and all together are at most a tenth of a client's calls beyond the first hundred.
    A refresh of a token is not tried again here: that is the token manager's.

    Attributes:
        attempts: tries at most, the first included.
        within: seconds from the beginning of the call in which another try may begin; ``None``
            for any time. A call's own ``timeout`` holds as well. By default a read that waited for
            a connection and then for its answer, as long as :class:`~iop_async.Timeouts` lets it,
            is tried once more. So a call takes no longer than this and one try.

    Example::

        retry = iop.Retry(attempts=5, within=60.0)
        async with iop.Client(app, gateway, retry=retry) as client:
            await client.as_seller(token).call("/orders/get")
    """

    attempts: int = field(default=3, validator=_require_attempts)
    within: float | None = field(default=45.0, validator=_require_within)


class RetryBudget:
    """A token bucket that calls fill and repeats empty, so that an outage is not amplified.

    It fills by the second as well, for clients that make few calls.
    """

    def __init__(self) -> None:
        self.calls = 0
        self._tokens = _BURST
        self._counted = 0
        self._filled_at = 0.0

    def left(self, now: float) -> float:
        """Repeats that may be made at ``now``, seconds of a monotonic clock."""
        calls, seconds = self.calls - self._counted, max(now - self._filled_at, 0.0)
        self._counted, self._filled_at = self.calls, now
        self._tokens = min(self._tokens + calls * _SHARE + seconds * _PER_SECOND, _BURST)
        return self._tokens

    def spend(self) -> None:
        """Count a repeat."""
        self._tokens -= 1


def wait_before_retry(
    retry: Retry,
    error: IopError,
    calls: Sequence[Call],
    *,
    attempts: int,
    left: float,
    budget: float,
    jitter: float,
) -> float | None:
    """Seconds to wait before a request is made again; ``None`` where its error is the last word.

    Args:
        calls: those that the request is for: one, or those of a batch.
        attempts: tries that were made.
        left: seconds in which another try may begin.
        budget: repeats that the client may make.
        jitter: between 0 and 1.
    """
    if attempts >= retry.attempts or not error.retryable:
        return None
    if budget < 1 and not isinstance(error, Throttled):  # those are spaced by a gate
        return None
    if error.may_have_been_applied and not all(map(is_idempotent, calls)):
        return None
    if any(map(is_refresh, calls)) or not all(map(_can_be_sent_again, calls)):
        return None
    spread = jitter * backoff(attempts - 1, 0.0, first=FIRST_WAIT, longest=LONGEST_WAIT)
    if is_stale(error):
        spread = 0.0
    wait = spread if error.retry_after is None else error.retry_after + BAN_MARGIN + spread
    return wait if wait < left else None


def is_idempotent(call: Call) -> bool:
    """Whether repeating a call that was applied is harmless: as it says, or a read by its name."""
    if call.idempotent is None:
        return call.lane == "calls" and _READ.fullmatch(call.api) is not None
    return call.idempotent


def is_stale(error: IopError) -> bool:
    """Whether the connection had been kept alive for so long that the server closed it."""
    return isinstance(error, TransportError) and error.connection_was_stale


def is_refresh(call: Call) -> bool:
    """Whether it presents a refresh token, which only its owner may do again."""
    return call.lane == "tokens" and "refresh_token" in call.params


def _can_be_sent_again(call: Call) -> bool:
    """Whether every file can be read from its beginning once more."""
    contents = (file.content for file in call.files.values())
    return all(
        isinstance(content, (bytes, os.PathLike))
        or (hasattr(content, "seekable") and content.seekable())
        for content in contents
    )
