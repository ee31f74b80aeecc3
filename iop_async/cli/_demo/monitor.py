"""The monitor: it counts the messages of the app's processes, and waits for what they tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import anyio

from .board import ANSWERED, Board

_STEP_TIMEOUT: Final = 60.0
"""Seconds of this machine."""

_POLL_INTERVAL: Final = 0.02

_CAPTIONS: Final = {
    "refresh_failed": "not refreshed, later again",
    "ambiguous": "the answer was lost",
    "unpersisted": "kept in the journal",
    "reauthorize": "must authorize again",
    "authorize_by": "should authorize again",
    "error": "an error, and on it goes",
}

_STATE_AFTER: Final = {
    "refreshed": "fresh",
    "ambiguous": "ambiguous",
    "unpersisted": "unpersisted",
    "reauthorize": "reauthorize",
}
"""A seller's state after an event, until the next message about all of them."""


class StepFailed(Exception):
    """The app did not do what was waited for; the board has a failed check that says so."""


class AppMonitor:
    """Counts what the app's processes tell, one after the other, and shows it.

    Attributes:
        authorized: sellers whose codes were traded.
        refreshed: the number of refreshes of each seller.
        ambiguous: sellers with a refresh whose answer is lost.
        journaled: sellers whose newest pair the store did not take at once.
        reported: sellers of whom the manager said that they must authorize again.
        without_token: the number of calls of each seller that found no good token.
        failed_calls: calls that failed for any other reason.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._changed = anyio.Event()
        self._ended = False
        self._answered = 0
        self.authorized: set[str] = set()
        self.refreshed: Counter[str] = Counter()
        self.ambiguous: set[str] = set()
        self.journaled: set[str] = set()
        self.reported: set[str] = set()
        self.without_token: Counter[str] = Counter()
        self.failed_calls = 0

    def reset(self) -> None:
        """Forget what one process did: another takes over."""
        self._ended, self._answered = False, 0
        self.authorized.clear()
        self.refreshed.clear()

    def receive(self, message: dict[str, Any]) -> None:
        """Take in one message of the app's."""
        match message:
            case {"states": states, "answered": answered}:
                self._set_states(states, answered)
            case {"event": kind, "seller": seller, "reason": reason}:
                self._count_event(kind, seller or "the keeper", reason)
            case {"authorized": seller}:
                self.authorized.add(seller)
                self._board.states[seller] = "fresh"
            case {"failed": seller, "lacks_token": True, "reason": reason}:
                self.without_token[seller] += 1
                self._show("a call without a token", seller, reason)
            case {"failed": seller, "reason": reason}:
                self.failed_calls += 1
                self._board.figures["met a gateway that is down"] += 1
            case {"refused": seller, "reason": reason}:
                self._show("the code was refused", seller, reason)
            case {"ended": True}:
                self._ended = True
        # Replaced before it wakes anybody: who waits again waits for the next message.
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def count(self, *wanted: str) -> int:
        """The number of sellers in one of these states."""
        return sum(state in wanted for state in self._board.states.values())

    def _set_states(self, states: dict[str, str], answered: int) -> None:
        for seller, state in states.items():
            # A grant whose answer was lost once counts as live: the manager asks the gateway again.
            hides = seller in self.ambiguous and state in ("fresh", "due", "waiting")
            self._board.states[seller] = "ambiguous" if hides else state
        # Each process counts from zero; the figure is that of all.
        self._board.figures[ANSWERED] += answered - self._answered
        self._answered = answered

    def _count_event(self, kind: str, seller: str, reason: str) -> None:
        if kind in _STATE_AFTER:
            self.ambiguous.discard(seller)
            # The event before may have said that the pair of this refresh is only in the journal.
            if (kind, self._board.states.get(seller)) != ("refreshed", "unpersisted"):
                self._board.states[seller] = _STATE_AFTER[kind]
        if kind == "refreshed":
            self.refreshed[seller] += 1
            self._board.figures["refreshes"] += 1
        elif kind == "ambiguous":
            self.ambiguous.add(seller)
        elif kind == "unpersisted":
            self.journaled.add(seller)
        elif kind == "reauthorize":
            self.reported.add(seller)
        if kind in _CAPTIONS:
            self._show(_CAPTIONS[kind], seller, reason)

    def _show(self, what: str, seller: str, reason: str) -> None:
        self._board.recent.add(self._board.now(), what, seller, reason)

    async def wait_until(self, what: str, done: Callable[[], int], total: int) -> None:
        """Wait for messages until ``done()`` is ``total``.

        Raises:
            StepFailed: it took too long, or the process ended.
        """
        with anyio.move_on_after(_STEP_TIMEOUT):
            while done() < total and not self._ended:
                self._board.progress(what, done(), total)
                await self._changed.wait()
        # Counted once more: the last message may have come with the timeout.
        self._require(what, done(), total)
        self._board.complete(what)

    async def poll_until(self, what: str, look: Callable[[], Awaitable[int]], total: int) -> None:
        """The same where no message tells.

        Raises:
            StepFailed: it took too long, or the process ended.
        """
        seen = 0
        with anyio.move_on_after(_STEP_TIMEOUT):
            while (seen := await look()) < total and not self._ended:
                self._board.progress(what, seen, total)
                await anyio.sleep(_POLL_INTERVAL)
        self._require(what, seen, total)

    def _require(self, what: str, done: int, total: int) -> None:
        if done < total:
            why = "the app's process ended" if self._ended else f"{_STEP_TIMEOUT:.0f} s passed"
            self._board.check(held=False, what=f"{what}: {done} of {total} when {why}")
            raise StepFailed


def few(sellers: Collection[str]) -> str:
    """Some sellers by name, the rest by number."""
    shown = sorted(sellers)[:6]
    more = len(sellers) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
