"""The steps of the second half: an outage, a locked store, a killed process, and the audit."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import anyio
from attrs import frozen

from .audit import compare, read_stored
from .board import ANSWERED, Board
from .gateway import ACCESS_MINUTES, LocalGateway
from .monitor import StepFailed, few
from .process import AppProcess, running_app
from .scenario import Scenario

_AUTHORIZING: Final = timedelta(minutes=5)
_OUTAGE: Final = timedelta(minutes=3)
_SLOW: Final = timedelta(minutes=2)
"""Long enough to do something before the answer, short enough for every other seller's token."""

_STUCK: Final = timedelta(minutes=6)
"""Longer than it takes until every seller is due once."""


async def keep_tokens(board: Board, gateway: LocalGateway, speed: float) -> None:
    """Let an app keep the tokens of all sellers of the gateway while things fail."""
    clock = await gateway.set_speed(speed)
    began = clock.now()
    board.now = lambda: _minutes(clock.now() - began)
    board.states = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            await _run(Scenario(board, gateway, clock, Path(folder) / "tokens.db"))
        except* StepFailed:
            pass  # the board has it


def _minutes(time: timedelta) -> str:
    minutes, seconds = divmod(int(time.total_seconds()), 60)
    return f"{minutes:02}:{seconds:02}"


async def _run(scenario: Scenario) -> None:
    """All steps in order: the first process ends by force, the second one in peace."""
    monitor = scenario.monitor
    await scenario.recover()
    async with running_app(scenario.gateway, scenario.path, monitor.receive) as app:
        await _authorize_all(scenario, app)
        await _gateway_outage(scenario)
        await _lock_store(scenario)
        await _kill(scenario, app)
    # Before the next process starts, which changes what is inspected.
    left = await _inspect_files(scenario)
    monitor.reset()
    async with running_app(scenario.gateway, scenario.path, monitor.receive) as app:
        await _take_over(scenario, app, left)
        await _refresh_all(scenario, left)
        scenario.board.section(
            "the app is stopped: what the gateway holds against what the store holds"
        )
        status = await app.stop()
    scenario.board.check(held=status == 0, what="the app let its refreshes end, and stopped")
    await audit(scenario, left)


async def _authorize_all(scenario: Scenario, app: AppProcess) -> None:
    """Sellers authorize one after the other, and each is refreshed when due."""
    board, monitor = scenario.board, scenario.monitor
    board.section(f"{scenario.total} sellers, whose access tokens live {ACCESS_MINUTES} minutes")
    scenario.say(f"a simulated minute passes in {60 / scenario.clock.speed:.1f} seconds")
    began = scenario.clock.monotonic()
    # Spread, so that later refreshes are spread too and some are under way at any moment.
    for number, seller in enumerate(scenario.gateway.sellers):
        board.progress("authorizing", number, scenario.total)
        wait = (
            began
            + _AUTHORIZING.total_seconds() * number / scenario.total
            - scenario.clock.monotonic()
        )
        await scenario.clock.sleep(max(wait, 0.0))
        await app.authorize(seller, await scenario.gateway.approve(seller))
    await monitor.wait_until("authorized", lambda: len(monitor.authorized), scenario.total)
    await monitor.wait_until(
        "refreshed twice", lambda: _at_least(2, monitor.refreshed), scenario.total
    )
    board.check(
        held=not (monitor.without_token or monitor.failed_calls or monitor.reported),
        what=f"{monitor.refreshed.total()} refreshes, two or more of each seller, and of "
        f"{board.figures[ANSWERED]:,} calls none failed",
    )


def _at_least(times: int, counted: Counter[str]) -> int:
    return sum(number >= times for number in counted.values())


async def _gateway_outage(scenario: Scenario) -> None:
    """The gateway answers nobody for a while."""
    board, monitor = scenario.board, scenario.monitor
    seconds = int(_OUTAGE.total_seconds())
    board.section(f"the gateway is down for {seconds // 60} minutes")
    # At first connections break before anything is done, which the app cannot know.
    await scenario.fail_refreshes("drop", after=False, times=3, times_each=1)
    await scenario.gateway.fail("status", status=503, times=None)
    began = scenario.clock.monotonic()
    while (passed := scenario.clock.monotonic() - began) < seconds:
        board.progress("down", int(passed), seconds)
        await scenario.clock.sleep(5)
    board.complete("down")
    await scenario.recover()
    await monitor.wait_until(
        "recovered",
        lambda: scenario.total - monitor.count("waiting", "ambiguous"),
        scenario.total,
    )
    board.check(
        held=not (monitor.without_token or monitor.reported),
        what=f"{monitor.failed_calls} calls failed for that, and none for want of a good token",
    )


async def _lock_store(scenario: Scenario) -> None:
    """Another program locks the store's file while answers to refreshes are under way."""
    board, monitor = scenario.board, scenario.monitor
    board.section("another program locks the store's file")
    await scenario.catch_up()
    await scenario.slow_down(_SLOW, refreshes=min(3, scenario.total))
    with locked(scenario.path):
        await monitor.wait_until("kept in the journal", lambda: monitor.count("unpersisted"), 1)
    await monitor.wait_until(
        "in the store", lambda: scenario.total - monitor.count("unpersisted"), scenario.total
    )
    board.check(
        held=not (monitor.without_token or monitor.reported),
        what="token pairs that the journal kept until the store took them: "
        f"{len(monitor.journaled)}",
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold SQLite's write lock, as a program does that writes without end; reading goes on."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # Never committed: closing the connection rolls it back.
        database.execute("BEGIN IMMEDIATE")
        yield


async def _kill(scenario: Scenario, app: AppProcess) -> None:
    """Kill the app's process in the middle of refreshes, without a chance to do anything.

    Two of them never reach the gateway; of the others the answers are under way.
    """
    board = scenario.board
    board.section("the app's process is killed with refreshes under way")
    await scenario.catch_up()
    await scenario.fail_refreshes("drop", after=False, times=2, times_each=1)
    await scenario.slow_down(_STUCK, refreshes=min(6, scenario.total))
    await app.kill()
    board.states |= dict.fromkeys(board.states, "asleep")
    await scenario.recover()


@frozen
class CrashState:
    """The sellers in doubt in the files of a killed process.

    Attributes:
        unanswered: sellers with a refresh that has no answer.
        spent: those of them whose refresh token the gateway had traded: nobody can save these.
    """

    unanswered: frozenset[str]
    spent: frozenset[str]


async def _inspect_files(scenario: Scenario) -> CrashState:
    """Compare the dead process's files with the gateway."""
    await anyio.sleep(0.5)  # the gateway goes on with what the dead process asked of it
    stored = await read_stored(scenario.path)
    unanswered = frozenset(seller for seller, found in stored.items() if found.is_unanswered)
    left = CrashState(unanswered, compare(await scenario.gateway.live(), stored).reported)
    scenario.board.states |= dict.fromkeys(unanswered, "ambiguous")
    scenario.say(f"{len(unanswered)} refreshes have no answer, {len(left.spent)} tokens are spent")
    return left


async def _take_over(scenario: Scenario, app: AppProcess, left: CrashState) -> None:
    """The next process asks the gateway, and reports who must authorize again."""
    board, monitor = scenario.board, scenario.monitor
    board.section("the app is started again")
    monitor.ambiguous = set(left.unanswered)
    await monitor.wait_until(
        "settled",
        lambda: len(left.unanswered & (monitor.refreshed.keys() | monitor.reported)),
        len(left.unanswered),
    )
    recovered = left.unanswered - monitor.reported
    board.check(
        held=monitor.reported == left.spent,
        what=f"it tried each once more: {len(recovered)} recovered, and it reported just the "
        f"{len(left.spent)} that are spent",
    )
    if monitor.reported:
        scenario.say(f"these authorize again: {few(monitor.reported)}")
    for seller in sorted(monitor.reported):
        await app.authorize(seller, await scenario.gateway.approve(seller))
    await monitor.wait_until("authorized", lambda: len(monitor.authorized), len(monitor.reported))


async def _refresh_all(scenario: Scenario, left: CrashState) -> None:
    """The next process refreshes every seller."""
    monitor = scenario.monitor
    await monitor.wait_until(
        "refreshed", lambda: len(monitor.refreshed.keys() | monitor.authorized), scenario.total
    )
    scenario.board.check(
        held=monitor.without_token.keys() <= left.spent,
        what="no call lacked a good token but for the sellers so reported",
    )


async def audit(scenario: Scenario, left: CrashState) -> None:
    """Print and check whether the gateway and the store hold the same tokens of every seller."""
    # The app has stopped: nothing changes between the two reads.
    found = compare(await scenario.gateway.live(), await read_stored(scenario.path))
    again = found.held & left.spent
    rows = {
        "the same tokens on both sides, all the way": found.held - again,
        "the same tokens, authorized again after the reported loss": again,
        "reported as lost, and not authorized again": found.reported,
        "lost silently": found.silent,
    }
    for caption, sellers in rows.items():
        scenario.board.say(f"{len(sellers):>8}  {caption}")
    scenario.board.check(
        held=len(found.held) == scenario.total,
        what=f"nothing lost: {len(found.held)} of {scenario.total} tokens are the gateway's own",
    )
