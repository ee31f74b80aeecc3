"""``iop-async tokens list``, ``due`` and ``show``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import click

from ..._exceptions import UnknownSeller
from ..._inputs import require_seller_id
from ..._scrub import scrubs_frames
from .._documents import token_document
from .._group import Command
from .._options import takes
from .._output import note, print_json, wants_json
from .._running import run
from .._settings import Settings
from .._tables import ago, print_fields, print_table
from .grants import READS, Kept, opened_reader

_COLUMNS: Final[dict[str, Callable[[Kept, datetime], str]]] = {
    "seller": lambda kept, _: kept.grant.seller_id,
    "state": lambda kept, _: state_of(kept),
    "access token ends": lambda kept, now: ago(kept.grant.token.expires_at, now),
    "refresh": lambda kept, now: ago(kept.grant.refresh_at, now, none="never"),
    "authorize by": lambda kept, now: ago(kept.grant.authorize_by, now),
    "pairs": lambda kept, _: str(kept.grant.generation),
}

STATES: Final = (
    *("fresh", "due", "must wait", "cannot refresh", "dead"),
    *("ambiguous", "reauthorize", "unanswered", "unpersisted"),
)


def state_of(kept: Kept) -> str:
    """A grant's state in one word or two, what is most urgent to know."""
    if kept.grant.state != "live":
        return kept.grant.state
    if kept.grant.is_unanswered:
        return "unanswered"
    return kept.freshness.value if kept.is_persisted else "unpersisted"


@click.command("list", cls=Command)
@takes(*READS)
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these.")
@click.option("--limit", type=click.IntRange(min=1), metavar="NUMBER", help="So many at most.")
@scrubs_frames
def list_tokens(settings: Settings, states: tuple[str, ...], limit: int | None) -> None:
    """List sellers, and how their tokens are."""

    def keep(kept: Kept) -> bool:
        return not states or state_of(kept) in states

    _list(settings, keep, lambda kept: kept.grant.seller_id, limit)


@click.command(cls=Command)
@takes(*READS)
@click.option(
    "--within",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0, max=10**6),
    metavar="MINUTES",
    help="From now on, in which they fall due.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="NUMBER", help="So many at most.")
@scrubs_frames
def due(settings: Settings, within: float, limit: int | None) -> None:
    """List sellers whose tokens are to be refreshed.

    The most urgent come first.
    """
    until = datetime.now(UTC) + timedelta(minutes=within)

    def keep(kept: Kept) -> bool:
        return kept.grant.refresh_at is not None and kept.grant.refresh_at <= until

    _list(
        settings, keep, lambda kept: (kept.grant.authorize_by or until, kept.grant.seller_id), limit
    )


def _list(
    settings: Settings,
    keep: Callable[[Kept], bool],
    order: Callable[[Kept], object],
    limit: int | None,
) -> None:
    async def read() -> tuple[str, list[Kept]]:
        async with opened_reader(settings) as reader:
            return reader.scope, [kept async for kept in reader.all() if keep(kept)]

    scope, found = run(read)
    found.sort(key=order)  # type: ignore[arg-type] # of one kind each
    shown = found[:limit]
    if wants_json():
        grants = [kept.document() for kept in shown]
        print_json({"scope": scope, "total": len(found), "grants": grants})
        return
    now = datetime.now(UTC)
    rows = [[column(kept, now) for column in _COLUMNS.values()] for kept in shown]
    print_table(list(_COLUMNS), rows)
    more = f", of which {len(shown)} are shown" if len(shown) < len(found) else ""
    note(f"{len(found)} {'seller' if len(found) == 1 else 'sellers'} of {scope}{more}")


@click.command(cls=Command)
@click.argument("seller_id", metavar="SELLER")
@takes(*READS)
@click.option("--reveal", is_flag=True, help="Show the tokens themselves.")
@scrubs_frames
def show(settings: Settings, seller_id: str, *, reveal: bool) -> None:
    """Show all that a store has of a seller.

    The tokens are masked.
    """
    require_seller_id(seller_id)

    async def read() -> tuple[str, Kept | None]:
        async with opened_reader(settings) as reader:
            return reader.scope, await reader.find(seller_id)

    scope, kept = run(read)
    if kept is None:
        raise UnknownSeller(seller_id, f"the store has none for {scope}; 'tokens list' shows all")
    document = {
        "scope": scope,
        **kept.document(),
        "token": token_document(kept.grant.token, reveal=reveal),
    }
    if wants_json():
        print_json(document)
    else:
        _print_one(kept, document)


_TIMES: Final = ("expires_at", "refresh_expires_at", "authorize_by", "refresh_at")


def _print_one(kept: Kept, document: dict[str, object]) -> None:
    now = datetime.now(UTC)
    grant = kept.grant
    moments = dict(
        zip(
            _TIMES,
            (
                grant.token.expires_at,
                grant.token.refresh_expires_at,
                grant.authorize_by,
                grant.refresh_at,
            ),
            strict=True,
        )
    )
    fields: dict[str, object] = {}
    for name, value in document.items():
        if name in moments:
            moment = moments[name]
            fields[name] = None if moment is None else f"{value}  ({ago(moment, now)})"
        elif name == "token" and isinstance(value, dict):
            fields |= value
        else:
            fields[name] = value
    print_fields(fields)
