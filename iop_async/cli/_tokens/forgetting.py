"""``iop-async tokens forget``: remove grants."""

from __future__ import annotations

import sys

import click

from ..._inputs import require_seller_id
from ..._scrub import scrubs_frames
from .._group import Command
from .._opening import opened_manager
from .._options import takes
from .._output import note, print_json, say, wants_json
from .._running import run
from .._settings import Settings
from .grants import READS


@click.command(cls=Command)
@click.argument("seller_ids", metavar="SELLER...", nargs=-1, required=True)
@takes(*READS)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@scrubs_frames
def forget(settings: Settings, seller_ids: tuple[str, ...], *, yes: bool) -> None:
    """Remove the grants of sellers.

    They must authorize again before anything is called for them.

    The gateway is not told: what was given out is good there until it ends. A refresh that is under
    way elsewhere does not bring a grant back.
    """
    for seller_id in seller_ids:
        require_seller_id(seller_id)
    if not yes:
        _confirm(seller_ids)

    async def remove() -> dict[str, bool]:
        async with opened_manager(settings, signs=False) as manager:
            return {seller_id: await manager.forget(seller_id) for seller_id in seller_ids}

    removed = run(remove)
    if wants_json():
        forgotten = [seller_id for seller_id, was_there in removed.items() if was_there]
        unknown = [seller_id for seller_id, was_there in removed.items() if not was_there]
        print_json({"forgotten": forgotten, "unknown": unknown})
    for seller_id, was_there in removed.items():
        if was_there:
            if not wants_json():
                say(f"{seller_id}: forgotten")
        else:
            note(f"{seller_id}: there was no grant")
    if not all(removed.values()):
        sys.exit(1)


def _confirm(seller_ids: tuple[str, ...]) -> None:
    if wants_json() or not sys.stdin.isatty():
        msg = "nobody is here to be asked; say --yes"
        raise click.UsageError(msg)
    few = ", ".join(map(repr, seller_ids[:5]))
    more = f" and {len(seller_ids) - 5} more" if len(seller_ids) > 5 else ""
    click.confirm(f"forget the grant of {few}{more}?", abort=True, err=True)
