"""A token manager in trouble: the gateway goes down, the process is killed, nothing is lost."""

from __future__ import annotations

import tempfile
from collections.abc import Set as AbstractSet
from datetime import timedelta
from pathlib import Path
from typing import Final

import anyio

from .audit import compare, read
from .board import ANSWERED, Board
from .clock import FastClock
from .gateway import ACCESS_MINUTES, LocalGateway
from .news import News, Stuck, few
from .process import AppProcess, running_app

_REFRESH: Final = "/auth/token/refresh"
_TAKING_IN: Final = timedelta(minutes=5)
_OUTAGE: Final = timedelta(minutes=3)
_AT_THE_KILL: Final = 6
"""Refreshes under way when the process is killed; two of them do not reach the gateway."""

_NETWORK: Final = 0.1
_STUCK: Final = 5.0
"""Seconds of this machine that the answer to a refresh is under way."""


async def keep(board: Board, gateway: LocalGateway, speed: float) -> None:
    """Let an app keep all sellers of the gateway, and show what becomes of them."""
    clock = await gateway.set_speed(speed)
    began = clock.now()
    board.now = lambda: _minutes(clock.now() - began)
    board.states = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            await _Keeping(board, gateway, clock, Path(folder) / "tokens.db").run()
        except* Stuck:
            pass  # the board has it


def _minutes(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes:02}:{seconds:02}"


class _Keeping:
    """The acts, in order. ``path`` is the store's file."""

    def __init__(self, board: Board, gateway: LocalGateway, clock: FastClock, path: Path) -> None:
        self._board = board
        self._gateway = gateway
        self._clock = clock
        self._path = path
        self._news = News(board)
        self._all = len(gateway.sellers)

    async def run(self) -> None:
        await self._well()
        async with running_app(self._gateway, self._path, self._news.hear) as app:
            await self._take_in(app)
            await self._be_down()
            await self._kill(app)
        uncertain, spent = await self._look_at_what_is_left()
        self._news.begin()
        async with running_app(self._gateway, self._path, self._news.hear) as app:
            await self._find_out(app, uncertain, spent)
            await self._go_on(spent)
            self._board.act(
                "the app is stopped: what the gateway holds against what the store holds"
            )
            status = await app.stop()
        await self._compare(spent, status)

    async def _well(self) -> None:
        """Nothing goes wrong; answers take their time, as they do."""
        await self._gateway.recover()
        await self._gateway.fail("latency", api=_REFRESH, seconds=_NETWORK, times=None)

    async def _take_in(self, app: AppProcess) -> None:
        board, news = self._board, self._news
        board.act(f"{self._all} sellers, whose access tokens live {ACCESS_MINUTES} minutes")
        board.say(f"     a simulated minute passes in {60 / self._clock.speed:.1f} seconds")
        began = self._clock.now()
        for number, seller in enumerate(self._gateway.sellers):
            board.step("authorizing", number, self._all)
            await self._clock.sleep_until(began + _TAKING_IN * (number / self._all))
            await app.authorize(seller, await self._gateway.approve(seller))
        await news.until("authorized", lambda: len(news.authorized), self._all)
        await news.until("refreshed twice", self._refreshed_twice, self._all)
        board.check(
            held=not (news.lacking or news.unanswered or news.reported),
            what=f"{news.refreshed.total()} refreshes, two or more of each seller, and of "
            f"{board.figures[ANSWERED]:,} calls none failed",
        )

    def _refreshed_twice(self) -> int:
        return sum(times >= 2 for times in self._news.refreshed.values())

    async def _be_down(self) -> None:
        board, news = self._board, self._news
        board.act(f"the gateway is down for {_OUTAGE.total_seconds() / 60:.0f} minutes")
        # At first connections break before anything is done, which the app cannot know.
        await self._gateway.fail("drop", api=_REFRESH, after=False, times=3)
        await self._gateway.fail("status", status=503, times=None)
        began = self._clock.now()
        while (passed := self._clock.now() - began) < _OUTAGE:
            board.step("down", int(passed.total_seconds()), int(_OUTAGE.total_seconds()))
            await self._clock.sleep_until(self._clock.now() + timedelta(seconds=5))
        seconds = int(_OUTAGE.total_seconds())
        board.step("down", seconds, seconds)
        await self._well()
        await news.until("recovered", self._at_ease, self._all)
        board.check(
            held=not (news.lacking or news.reported),
            what=f"{news.unanswered} calls met that, and none its seller without a good token",
        )

    def _at_ease(self) -> int:
        return self._all - self._news.count("waiting", "ambiguous", "unpersisted", "reauthorize")

    async def _kill(self, app: AppProcess) -> None:
        board, news = self._board, self._news
        board.act("the app's process is killed with refreshes under way")
        # Two of the next requests get lost, and the answers to the others are slow to come back.
        await self._gateway.recover()
        await self._gateway.fail("drop", api=_REFRESH, after=False, times=2)
        await self._gateway.fail("latency", api=_REFRESH, seconds=_STUCK, times=_AT_THE_KILL)
        wanted = min(_AT_THE_KILL, self._all)
        await news.until("refreshes under way", lambda: news.count("refreshing"), wanted)
        await app.kill()
        board.states |= dict.fromkeys(board.states, "asleep")
        await self._well()

    async def _look_at_what_is_left(self) -> tuple[frozenset[str], frozenset[str]]:
        """Sellers with a refresh that has no answer, and those of them whose tokens are spent."""
        await anyio.sleep(0.5)  # the gateway goes on with what the dead process asked of it
        kept = await read(self._path)
        uncertain = frozenset(seller for seller, found in kept.items() if found.is_open)
        spent = compare(await self._gateway.live(), kept).reported
        self._board.states |= dict.fromkeys(uncertain, "ambiguous")
        self._board.say(
            f"     {self._board.now()}  the store has {len(uncertain)} refreshes without an "
            f"answer; spent are {len(spent)} of their tokens"
        )
        return uncertain, spent

    async def _find_out(
        self, app: AppProcess, uncertain: frozenset[str], spent: frozenset[str]
    ) -> None:
        board, news = self._board, self._news
        board.act("the app is started again")
        news.uncertain = set(uncertain)
        news.refreshed.clear()
        await news.until(
            "settled",
            lambda: len(uncertain & (news.refreshed.keys() | news.reported)),
            len(uncertain),
        )
        recovered = uncertain - news.reported
        board.check(
            held=news.reported == spent,
            what=f"each was tried once more: {len(recovered)} recovered, and just the {len(spent)} "
            "that are spent were reported",
        )
        await self._authorize_again(app, news.reported & spent)

    async def _authorize_again(self, app: AppProcess, sellers: AbstractSet[str]) -> None:
        if not sellers:
            return
        self._board.say(f"     {self._board.now()}  these authorize again: {few(sellers)}")
        total = len(sellers)
        for seller in sorted(sellers):
            await app.authorize(seller, await self._gateway.approve(seller))
        await self._news.until("authorized again", lambda: len(self._news.authorized), total)

    async def _go_on(self, spent: frozenset[str]) -> None:
        board, news = self._board, self._news
        await news.until(
            "refreshed once more",
            lambda: len(news.refreshed.keys() | news.authorized),
            self._all,
        )
        board.check(
            held=news.lacking.keys() <= spent,
            what="no call but of sellers so reported was ever without a good token",
        )

    async def _compare(self, spent: frozenset[str], status: int) -> None:
        audit = compare(await self._gateway.live(), await read(self._path))
        again = audit.held & spent
        rows = {
            "the same tokens on both sides, all the way": audit.held - again,
            "the same tokens, authorized again after the reported loss": again,
            "reported as lost, and not authorized again": audit.reported,
            "lost silently": audit.silent,
        }
        for words, sellers in rows.items():
            self._board.say(f"{len(sellers):>8}  {words}")
        self._board.check(
            held=len(audit.held) == self._all and not audit.silent and status == 0,
            what=f"nothing lost: {len(audit.held)} of {self._all} sellers' tokens are the "
            "gateway's own",
        )
