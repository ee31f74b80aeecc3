"""What the acts of the second half share."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from .board import Board
from .clock import FastClock
from .gateway import LocalGateway
from .news import News

_REFRESH: Final = "/auth/token/refresh"
_NETWORK: Final = 0.1
"""Seconds of this machine that the answer to a refresh is under way."""


@frozen
class Stage:
    """Everything that an act works with.

    Attributes:
        path: the store's file.
        news: what the app tells.
    """

    board: Board
    gateway: LocalGateway
    clock: FastClock
    path: Path
    news: News = field(init=False)

    @news.default
    def _news_of_the_board(self) -> News:
        return News(self.board)

    @property
    def all(self) -> int:
        """How many sellers there are."""
        return len(self.gateway.sellers)

    def say(self, text: str) -> None:
        """A remark, with the time."""
        self.board.say(f"     {self.board.now()}  {text}")

    async def all_well(self) -> None:
        """Nothing goes wrong; answers take their time, as they do."""
        await self.gateway.recover()
        await self.fail_refreshes("latency", seconds=_NETWORK, times=None)

    async def fail_refreshes(self, kind: str, **members: Any) -> None:
        """Let refreshes go wrong, and no other call."""
        await self.gateway.fail(kind, api=_REFRESH, **members)

    async def slow_refreshes(self, time: timedelta, *, times: int) -> None:
        """The answers to so many refreshes take so much simulated time."""
        seconds = time.total_seconds() / self.clock.speed
        await self.fail_refreshes("latency", seconds=seconds, times=times)
