"""A token manager in trouble: the gateway goes down, the process is killed, nothing is lost."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Final

from .aftermath import compare_both, find_out, go_on, look_at_what_is_left
from .board import ANSWERED, Board
from .gateway import ACCESS_MINUTES, LocalGateway
from .news import Stuck
from .process import AppProcess, running_app
from .stage import Stage
from .troubles import be_down, kill, lock_the_store

_TAKING_IN: Final = timedelta(minutes=5)


async def keep(board: Board, gateway: LocalGateway, speed: float) -> None:
    """Let an app keep all sellers of the gateway, and show what becomes of them."""
    clock = await gateway.set_speed(speed)
    began = clock.now()
    board.now = lambda: _minutes(clock.now() - began)
    board.states = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            await _live_twice(Stage(board, gateway, clock, Path(folder) / "tokens.db"))
        except* Stuck:
            pass  # the board has it


def _minutes(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes:02}:{seconds:02}"


async def _live_twice(stage: Stage) -> None:
    """The app's first life, which ends by force, and its second, which ends in peace."""
    await stage.all_well()
    async with running_app(stage.gateway, stage.path, stage.news.hear) as app:
        await _take_in(stage, app)
        await be_down(stage)
        await lock_the_store(stage)
        await kill(stage, app)
    left = await look_at_what_is_left(stage)
    stage.news.begin_anew()
    async with running_app(stage.gateway, stage.path, stage.news.hear) as app:
        await find_out(stage, app, left)
        await go_on(stage, left)
        stage.board.act("the app is stopped: what the gateway holds against what the store holds")
        status = await app.stop()
    stage.board.check(held=status == 0, what="the app let its refreshes end, and stopped")
    await compare_both(stage, left)


async def _take_in(stage: Stage, app: AppProcess) -> None:
    """Sellers authorize one after the other, and each is refreshed in its time."""
    board, news = stage.board, stage.news
    board.act(f"{stage.all} sellers, whose access tokens live {ACCESS_MINUTES} minutes")
    stage.say(f"a simulated minute passes in {60 / stage.clock.speed:.1f} seconds")
    began = stage.clock.now()
    for number, seller in enumerate(stage.gateway.sellers):
        board.step("authorizing", number, stage.all)
        await stage.clock.sleep_until(began + _TAKING_IN * (number / stage.all))
        await app.authorize(seller, await stage.gateway.approve(seller))
    await news.until("authorized", lambda: len(news.authorized), stage.all)
    await news.until("refreshed twice", lambda: _at_least(2, news.refreshed), stage.all)
    board.check(
        held=not (news.lacking or news.unanswered or news.reported),
        what=f"{news.refreshed.total()} refreshes, two or more of each seller, and of "
        f"{board.figures[ANSWERED]:,} calls none failed",
    )


def _at_least(times: int, counted: Counter[str]) -> int:
    return sum(number >= times for number in counted.values())
