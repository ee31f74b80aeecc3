"""What a manager looks at when it is entered: whether a pair that it gets can be kept at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from .._exceptions import StoreError
from .._logs import own_logger
from ..protocols import TokenStore
from ..stores import MemoryStore, SpillJournal

_log = own_logger("iop_async.tokens")

_CHECK_TIMEOUT: Final = 20.0
"""Seconds that a store may take to answer: a connection to it may have to be made first."""


async def look_at(
    store: TokenStore, journal: SpillJournal | None, *, scope: str, alone: bool
) -> StoreError | None:
    """Look at the store, and at the journal for when that fails.

    Args:
        alone: the journal does where the store fails.

    Returns:
        What is wrong with a store that may come back, and that one may go on without.

    Raises:
        StoreError: what is wrong, and what to do.
    """
    if journal is not None:
        await journal.check()
        _log.info("token pairs that the store does not take go to %r", journal)
    elif not isinstance(store, MemoryStore):
        _log.warning(
            "there is no journal: a token pair that the store does not take is in memory alone, "
            "and ends with this process; say TokenManager(..., journal='tokens.spill')"
        )
    try:
        await _check(store, scope)
    except StoreError as error:
        # Who must be asked for a password or a table will not come by himself.
        if not (alone and error.retryable):
            raise
        _log.warning("the store fails, and the journal does for it until it is back: %s", error)
        return error
    return None


async def _check(store: TokenStore, scope: str) -> None:
    # Not by isinstance, which sees no method of a store that hands on what it is asked.
    check: Callable[[str], Awaitable[None]] | None = getattr(store, "check", None)
    if check is None:
        return
    try:
        with anyio.fail_after(_CHECK_TIMEOUT):
            await check(scope)
    except TimeoutError as error:
        msg = f"the store did not answer within {_CHECK_TIMEOUT:.0f} s; is its server up?"
        raise StoreError(msg, retryable=True) from error
