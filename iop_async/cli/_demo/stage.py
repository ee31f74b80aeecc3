"""What the acts of the second half share."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
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

    async def fail_refreshes(self, kind: str, **members: Any) -> int:
        """Let refreshes go wrong, and no other call. Gives the fault's id."""
        return await self.gateway.fail(kind, api=_REFRESH, **members)

    async def catch_up(self) -> None:
        """Nothing goes wrong, and next to nothing is left to do."""
        await self.gateway.recover()
        few = self.all // 40
        await self.news.until(
            "caught up", lambda: self.all - self.news.count("due", "refreshing"), self.all - few
        )

    async def slow_down(self, time: timedelta, *, refreshes: int) -> None:
        """The answers to so many refreshes take so much simulated time; they are under way now."""
        seconds = time.total_seconds() / self.clock.speed
        fault = await self.fail_refreshes("latency", seconds=seconds, times=refreshes)
        await self.news.until_seen(
            "refreshes under way", partial(self.gateway.hits, fault), refreshes
        )
