"""What the app's processes told so far, one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

import anyio

from .board import ANSWERED, Board

_PATIENCE: Final = 60.0
"""Seconds of this machine that a step may take before the demonstration gives up."""

_LOOK_AGAIN: Final = 0.02

_WORDS: Final = {
    "refresh_failed": "not refreshed, later again",
    "ambiguous": "the answer was lost",
    "unpersisted": "kept in the journal",
    "reauthorize": "must authorize again",
    "authorize_by": "should authorize again",
    "error": "an error, and on it goes",
}

_STATES: Final = {
    "refreshed": "fresh",
    "ambiguous": "ambiguous",
    "unpersisted": "unpersisted",
    "reauthorize": "reauthorize",
}
"""What an event says of a seller, until the next look at all of them."""


class Stuck(Exception):
    """The app did not do what was waited for; the board has a failed check that says so."""


class News:
    """Counts what is told, and shows it.

    Attributes:
        authorized: sellers whose codes were traded.
        refreshed: how often each seller's tokens were.
        postponed: sellers with a refresh that failed and was not made up for.
        uncertain: sellers with a refresh whose answer is lost.
        spilled: sellers whose newest pair the store did not take at once.
        reported: sellers of whom the manager said that they must authorize again.
        lacking: sellers for whom a call found no good token, and how often.
        unanswered: calls that failed for any other reason.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._changed = anyio.Event()
        self._ended = False
        self._answered = 0
        self.authorized: set[str] = set()
        self.refreshed: Counter[str] = Counter()
        self.postponed: set[str] = set()
        self.uncertain: set[str] = set()
        self.spilled: set[str] = set()
        self.reported: set[str] = set()
        self.lacking: Counter[str] = Counter()
        self.unanswered = 0

    def begin_anew(self) -> None:
        """Another process takes over: what its predecessor did does not count any more."""
        self._ended, self._answered = False, 0
        self.authorized.clear()
        self.refreshed.clear()

    def hear(self, line: dict[str, Any]) -> None:
        """Take in one line of the app's."""
        match line:
            case {"states": states, "answered": answered}:
                self._see(states, answered)
            case {"event": kind, "seller": seller, "reason": reason}:
                self._note(kind, seller or "the keeper", reason)
            case {"authorized": seller}:
                self.authorized.add(seller)
                self._board.states[seller] = "fresh"
            case {"failed": seller, "lacks_token": True, "reason": reason}:
                self.lacking[seller] += 1
                self._happened("a call without a token", seller, reason)
            case {"failed": seller, "reason": reason}:
                self.unanswered += 1
                self._board.figures["met a gateway that is down"] += 1
            case {"refused": seller, "reason": reason}:
                self._happened("the code was refused", seller, reason)
            case {"ended": True}:
                self._ended = True
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    def count(self, *wanted: str) -> int:
        """How many sellers are in one of these states."""
        return sum(state in wanted for state in self._board.states.values())

    def _see(self, states: dict[str, str], answered: int) -> None:
        for seller, state in states.items():
            hides = seller in self.uncertain and state in ("fresh", "due", "waiting")
            self._board.states[seller] = "ambiguous" if hides else state
        self._board.figures[ANSWERED] += answered - self._answered
        self._answered = answered

    def _note(self, kind: str, seller: str, reason: str) -> None:
        if kind in _STATES:
            self.postponed.discard(seller)
            self.uncertain.discard(seller)
            if (kind, self._board.states.get(seller)) != ("refreshed", "unpersisted"):
                self._board.states[seller] = _STATES[kind]
        if kind == "refreshed":
            self.refreshed[seller] += 1
            self._board.figures["refreshes"] += 1
        elif kind == "refresh_failed":
            self.postponed.add(seller)
        elif kind == "ambiguous":
            self.uncertain.add(seller)
        elif kind == "unpersisted":
            self.spilled.add(seller)
        elif kind == "reauthorize":
            self.reported.add(seller)
        if kind in _WORDS:
            self._happened(_WORDS[kind], seller, reason)

    def _happened(self, what: str, seller: str, reason: str) -> None:
        self._board.happenings.add(self._board.now(), what, seller, reason)

    async def until(self, what: str, done: Callable[[], int], total: int) -> None:
        """Wait for news until so much is done. Raises :class:`Stuck` where it never will be."""
        with anyio.move_on_after(_PATIENCE):
            while done() < total and not self._ended:
                self._board.step(what, done(), total)
                await self._changed.wait()
        self._require(what, done(), total)
        self._board.reached(what)

    async def until_seen(self, what: str, look: Callable[[], Awaitable[int]], total: int) -> None:
        """The same where no news tells and one must look. Raises :class:`Stuck`."""
        seen = 0
        with anyio.move_on_after(_PATIENCE):
            while (seen := await look()) < total and not self._ended:
                self._board.step(what, seen, total)
                await anyio.sleep(_LOOK_AGAIN)
        self._require(what, seen, total)

    def _require(self, what: str, done: int, total: int) -> None:
        if done < total:
            why = "the app's process ended" if self._ended else f"{_PATIENCE:.0f} s passed"
            self._board.check(held=False, what=f"{what}: {done} of {total} when {why}")
            raise Stuck


def few(sellers: Collection[str]) -> str:
    """Some sellers by name, the rest by number."""
    shown = sorted(sellers)[:6]
    more = len(sellers) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
