"""``iop-async demo``: the library at work."""

from __future__ import annotations

import sys

import click

from ._demo import demonstrate
from ._group import Command
from ._output import print_json, wants_json
from ._running import run


@click.command(cls=Command)
@click.option(
    "--sellers",
    default=200,
    show_default=True,
    type=click.IntRange(min=1, max=500),
    metavar="NUMBER",
)
@click.option(
    "--calls", default=25, show_default=True, type=click.IntRange(min=1), metavar="NUMBER"
)
@click.option(
    "--speed",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=20, max=120),
    metavar="FACTOR",
    help="Simulated seconds in a second, for the tokens that live minutes.",
)
def demo(sellers: int, calls: int, speed: float) -> None:
    """Show the library at work against a local gateway.

    The exit status is 0 only if all of it held.

    Some sellers approve, call and upload, CALLS calls each; then a process keeps the tokens of all
    SELLERS fresh while the gateway fails and while that process itself is killed.
    """
    checks = run(lambda: demonstrate(sellers, calls, speed, quiet=wants_json()))
    held = all(checks.values())
    if wants_json():
        made = [{"what": what, "held": is_so} for what, is_so in checks.items()]
        print_json({"held": held, "checks": made})
    sys.exit(0 if held else 1)
