"""Entering and leaving: a manager serves the one event loop that it was entered in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ._running import Running
from ._single_flight import Place

_NOT_HERE: Final[dict[Place, str]] = {
    "forked": "this process was forked from the one that entered it; enter one in each process",
    "over": "its event loop has ended, or its tasks were cancelled; enter it again",
    "elsewhere": (
        "it was entered in another event loop, and serves that alone. Enter one in each event loop,"
        " over the same store (in a suite of pytest-asyncio, give its fixture and the tests one "
        "loop_scope)"
    ),
}


class Lifecycle:
    """Makes what runs at each entering, and says where it does.

    Args:
        make_running: makes it anew: what was left, forked or cut off is not begun again.
    """

    def __init__(self, make_running: Callable[[], Running]) -> None:
        self._make_running = make_running
        self._running: Running | None = None
        self._is_entering = False

    @property
    def here(self) -> Running:
        """What runs in this event loop. Raises ``RuntimeError`` where nothing does."""
        if self._running is None:
            msg = "the token manager is not running here; use it as 'async with TokenManager(...)'"
            raise RuntimeError(msg)
        if (place := self._running.background.place) != "here":
            msg = f"the token manager is not running here: {_NOT_HERE[place]}"
            raise RuntimeError(msg)
        return self._running

    async def enter(self) -> None:
        """Begin in this event loop. Raises ``RuntimeError`` where it runs already."""
        place = "over" if self._running is None else self._running.background.place
        if self._is_entering or place in ("here", "elsewhere"):
            where = " in another event loop; make one in each" if place == "elsewhere" else ""
            msg = f"this token manager is already running{where}"
            raise RuntimeError(msg)
        self._is_entering = True
        try:
            running = self._make_running()
            await running.start()
            self._running = running
        finally:
            self._is_entering = False

    async def aclose(self) -> None:
        """End what runs; nothing where nothing does, or a parent of this process has it."""
        running = self._running
        if running is None or running.background.place == "forked":
            return
        if running.background.place == "elsewhere":
            msg = "this token manager runs in another event loop; leave it in that one"
            raise RuntimeError(msg)
        self._running = None
        await running.aclose()
