"""``iop-async tokens refresh``: refresh now, whatever is kept by nobody else."""

from __future__ import annotations

import sys

import click

from ..._collect_errors import UnreadableRecords
from ..._exceptions import ReauthorizationRequired
from ..._scrub import scrubs_frames
from ...tokens import Progress, RefreshReport, TokenManager
from .._group import Command
from .._opening import opened_manager
from .._options import takes
from .._output import note, print_json, say, wants_json, warn
from .._progress import Bar
from .._running import run
from .._settings import Settings
from .grants import READS


@click.command(cls=Command)
@click.argument("seller_ids", metavar="[SELLER...]", nargs=-1)
@takes(*READS, "app_secret", "proxy")
@click.option("--due", is_flag=True, help="All that are due, as a keeper would; for cron.")
@click.option("--all", "everybody", is_flag=True, help="Everybody, due or not.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NUMBER",
    help="So many in a second.",
)
@scrubs_frames
def refresh(
    settings: Settings,
    seller_ids: tuple[str, ...],
    rate: float | None,
    *,
    due: bool,
    everybody: bool,
) -> None:
    """Refresh tokens now.

    Those of each SELLER, of all that are due, or of everybody.

    Whoever else works on the store is not in the way: of two that refresh a seller one waits for
    the other. The exit status is 1 where a refresh failed, or a SELLER has no
    grant.
    """
    if (bool(seller_ids) + due + everybody) != 1:
        raise click.UsageError("give the ids of sellers, or --due, or --all")

    async def do() -> RefreshReport:
        async with opened_manager(settings, rate=rate) as manager:
            if due:
                return await manager.refresh_due()
            return await _refresh(manager, seller_ids or await _all(manager))

    report = run(do)
    if wants_json():
        print_json(_document(report))
    else:
        _say(report)
    if report.failed or (seller_ids and report.skipped):
        sys.exit(1)


async def _all(manager: TokenManager) -> list[str]:
    found = []
    try:
        async for status in manager.statuses():
            found.append(status.seller_id)  # noqa: PERF401 - what came before an error counts
    except UnreadableRecords as error:  # which cost nobody else a refresh
        warn(str(error))
    return found


async def _refresh(manager: TokenManager, seller_ids: tuple[str, ...] | list[str]) -> RefreshReport:
    with Bar("refreshing", total=len(seller_ids)) as bar:

        def show(_: Progress) -> None:
            bar.advance()

        return await manager.refresh_many(seller_ids, on_progress=show)


def _document(report: RefreshReport) -> dict[str, object]:
    return {
        "refreshed": list(report.refreshed),
        "skipped": dict(report.skipped),
        "failed": {
            seller_id: {"kind": type(error).__name__, "message": str(error)}
            for seller_id, error in report.failed.items()
        },
    }


def _say(report: RefreshReport) -> None:
    for seller_id in report.refreshed:
        say(f"{seller_id}: refreshed")
    for seller_id, reason in report.skipped.items():
        note(f"{seller_id}: skipped: {reason}")
    for seller_id, error in report.failed.items():
        again = isinstance(error, ReauthorizationRequired)
        note(f"{seller_id}: failed: {error}{'; he approves at iop-async login' if again else ''}")
    if not (report.refreshed or report.skipped or report.failed):
        note("there is nothing to refresh")
