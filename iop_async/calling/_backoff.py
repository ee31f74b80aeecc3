"""Exponential backoff with jitter, and what is added to a wait that the gateway names."""

from __future__ import annotations

FIRST_WAIT = 5.0
LONGEST_WAIT = 15 * 60.0

BAN_MARGIN = 0.1
"""Seconds after the end that a ban names: texts round them down."""


def backoff(
    attempts: int, jitter: float, *, first: float = FIRST_WAIT, longest: float = LONGEST_WAIT
) -> float:
    """Seconds to wait after so many failures: doubling, and never less than before.

    Args:
        jitter: between 0 and 1; adds up to a fifth, so that hosts and sellers spread.
        first: seconds after the first failure.
        longest: seconds at most, before the jitter.
    """
    doublings: int = 2 ** min(attempts, 30)
    return min(first * doublings, longest) * (1 + jitter / 5)
