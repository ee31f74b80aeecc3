"""What goes wrong: the gateway is down, the store is locked, the process is killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from .process import AppProcess
from .stage import Stage

_OUTAGE: Final = timedelta(minutes=3)
_SLOW: Final = timedelta(minutes=2)
"""Long enough to do something before the answer, short enough for every other seller's token."""

_STUCK: Final = timedelta(minutes=6)
"""An answer under way for longer than it takes until every seller is due once."""


async def be_down(stage: Stage) -> None:
    """The gateway answers nobody for a while."""
    board, news = stage.board, stage.news
    seconds = int(_OUTAGE.total_seconds())
    board.act(f"the gateway is down for {seconds // 60} minutes")
    # At first connections break before anything is done, which the app cannot know.
    await stage.fail_refreshes("drop", after=False, times=3, times_each=1)
    await stage.gateway.fail("status", status=503, times=None)
    began = stage.clock.now()
    while (passed := (stage.clock.now() - began).total_seconds()) < seconds:
        board.step("down", int(passed), seconds)
        await stage.clock.sleep_until(stage.clock.now() + timedelta(seconds=5))
    board.reached("down")
    await stage.all_well()
    await news.until("recovered", lambda: stage.all - news.count("waiting", "ambiguous"), stage.all)
    board.check(
        held=not (news.lacking or news.reported),
        what=f"{news.unanswered} calls failed for that, and none for want of a good token",
    )


async def lock_the_store(stage: Stage) -> None:
    """Another program takes the store's file while answers to refreshes are under way."""
    board, news = stage.board, stage.news
    board.act("another program locks the store's file")
    await stage.catch_up()
    await stage.slow_down(_SLOW, refreshes=min(3, stage.all))
    with locked(stage.path):
        await news.until("kept in the journal", lambda: news.count("unpersisted"), 1)
    await news.until("in the store", lambda: stage.all - news.count("unpersisted"), stage.all)
    board.check(
        held=not (news.lacking or news.reported),
        what=f"token pairs that the journal kept until the store took them: {len(news.spilled)}",
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes, and does not come to an end; reading goes on."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


async def kill(stage: Stage, app: AppProcess) -> None:
    """The app's process ends in the middle of refreshes, without a chance to do anything.

    Two of them never reach the gateway; of the others the answers are under way.
    """
    board = stage.board
    board.act("the app's process is killed with refreshes under way")
    await stage.catch_up()
    await stage.fail_refreshes("drop", after=False, times=2, times_each=1)
    await stage.slow_down(_STUCK, refreshes=min(6, stage.all))
    await app.kill()
    board.states |= dict.fromkeys(board.states, "asleep")
    await stage.all_well()
