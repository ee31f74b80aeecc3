"""What calls and refreshes go through: retries, gates, limits, exponential backoff."""

from ._backoff import LONGEST_WAIT, backoff
from ._dispatcher import Attempt, Dispatcher, Outcome
from ._gate import Gate, Shut
from ._gateway_clock import GatewayClock
from ._limits import Limits
from ._rate import RateLimiter
from ._retry import Retry

__all__ = [
    "LONGEST_WAIT",
    "Attempt",
    "Dispatcher",
    "Gate",
    "GatewayClock",
    "Limits",
    "Outcome",
    "RateLimiter",
    "Retry",
    "Shut",
    "backoff",
]
