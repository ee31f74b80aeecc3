"""The scenario of the second half: its parts, and what its steps have in common."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from .board import Board
from .gateway import FastClock, LocalGateway
from .monitor import AppMonitor

_REFRESH: Final = "/auth/token/refresh"
_LATENCY: Final = 0.1
"""Of the answer to a refresh, in seconds of this machine."""


@frozen
class Scenario:
    """The parts that every step works with.

    Attributes:
        path: the store's file.
        monitor: hears the app's messages.
    """

    board: Board
    gateway: LocalGateway
    clock: FastClock
    path: Path
    monitor: AppMonitor = field(init=False)

    @monitor.default
    def _monitor_for_the_board(self) -> AppMonitor:
        return AppMonitor(self.board)

    @property
    def total(self) -> int:
        """The number of sellers."""
        return len(self.gateway.sellers)

    def say(self, text: str) -> None:
        """A remark, with the time."""
        self.board.say(f"     {self.board.now()}  {text}")

    async def recover(self) -> None:
        """Remove all faults; answers to refreshes still take their time."""
        await self.gateway.recover()
        await self.fail_refreshes("latency", seconds=_LATENCY, times=None)

    async def fail_refreshes(self, kind: str, **members: Any) -> int:
        """Inject a fault into refreshes, and no other call; its id."""
        return await self.gateway.fail(kind, api=_REFRESH, **members)

    async def catch_up(self) -> None:
        """Wait without any fault until next to nothing is due."""
        await self.gateway.recover()
        # Not zero: while all the others are refreshed, the first fall due again.
        few = self.total // 40
        await self.monitor.wait_until(
            "caught up",
            lambda: self.total - self.monitor.count("due", "refreshing"),
            self.total - few,
        )

    async def slow_down(self, latency: timedelta, *, refreshes: int) -> None:
        """Delay the answers to so many refreshes, in simulated time; return once they wait."""
        # The sandbox delays by the machine's clock, whatever the speed of its own.
        seconds = latency.total_seconds() / self.clock.speed
        fault = await self.fail_refreshes("latency", seconds=seconds, times=refreshes)
        await self.monitor.poll_until(
            "refreshes under way", partial(self.gateway.hits, fault), refreshes
        )
