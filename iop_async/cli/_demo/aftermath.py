"""After the kill: what is left, what the next process makes of it, and what it comes to."""

from __future__ import annotations

import anyio
from attrs import frozen

from .audit import compare, read
from .news import few
from .process import AppProcess
from .stage import Stage


@frozen
class Left:
    """What a killed process left behind.

    Attributes:
        uncertain: sellers with a refresh that has no answer.
        spent: those of them whose refresh token the gateway had traded: nobody can save these.
    """

    uncertain: frozenset[str]
    spent: frozenset[str]


async def look_at_what_is_left(stage: Stage) -> Left:
    """Compare the dead process's files with the gateway."""
    await anyio.sleep(0.5)  # the gateway goes on with what the dead process asked of it
    kept = await read(stage.path)
    uncertain = frozenset(seller for seller, found in kept.items() if found.is_open)
    left = Left(uncertain, compare(await stage.gateway.live(), kept).reported)
    stage.board.states |= dict.fromkeys(uncertain, "ambiguous")
    stage.say(f"{len(uncertain)} refreshes have no answer, {len(left.spent)} tokens are spent")
    return left


async def find_out(stage: Stage, app: AppProcess, left: Left) -> None:
    """The next process asks the gateway, and says who must authorize again."""
    news = stage.news
    stage.board.act("the app is started again")
    news.uncertain = set(left.uncertain)
    await news.until(
        "settled",
        lambda: len(left.uncertain & (news.refreshed.keys() | news.reported)),
        len(left.uncertain),
    )
    recovered = left.uncertain - news.reported
    stage.board.check(
        held=news.reported == left.spent,
        what=f"it tried each once more: {len(recovered)} recovered, and it reported just the "
        f"{len(left.spent)} that are spent",
    )
    if news.reported:
        stage.say(f"these authorize again: {few(news.reported)}")
    for seller in sorted(news.reported):
        await app.authorize(seller, await stage.gateway.approve(seller))
    await news.until("authorized", lambda: len(news.authorized), len(news.reported))


async def go_on(stage: Stage, left: Left) -> None:
    """Until every seller has been refreshed by the next process."""
    news = stage.news
    await news.until("refreshed", lambda: len(news.refreshed.keys() | news.authorized), stage.all)
    stage.board.check(
        held=news.lacking.keys() <= left.spent,
        what="no call lacked a good token but for the sellers so reported",
    )


async def compare_both(stage: Stage, left: Left) -> None:
    """Say for every seller whether the gateway and the store hold the same tokens."""
    audit = compare(await stage.gateway.live(), await read(stage.path))
    again = audit.held & left.spent
    rows = {
        "the same tokens on both sides, all the way": audit.held - again,
        "the same tokens, authorized again after the reported loss": again,
        "reported as lost, and not authorized again": audit.reported,
        "lost silently": audit.silent,
    }
    for words, sellers in rows.items():
        stage.board.say(f"{len(sellers):>8}  {words}")
    stage.board.check(
        held=len(audit.held) == stage.all,
        what=f"nothing lost: {len(audit.held)} of {stage.all} tokens are the gateway's own",
    )
