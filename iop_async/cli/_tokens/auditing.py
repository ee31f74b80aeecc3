"""``iop-async tokens audit``: what somebody should look at."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

import click
from attrs import asdict, frozen

from ..._refresh import Freshness
from ..._scrub import scrubs_frames
from .._group import Command
from .._options import takes
from .._output import note, print_json, wants_json
from .._progress import Bar
from .._running import run
from .._settings import Settings
from .._tables import ago, print_table
from .grants import READS, Kept, opened_reader

Severity: TypeAlias = Literal["error", "warning"]

_LATE: Final = timedelta(hours=1)
"""A refresh that is due for so long: nobody keeps the tokens."""


@frozen
class Finding:
    """What somebody should look at.

    Attributes:
        kind: what it is, in a word or two.
        severity: ``error`` where calls fail, or a token is lost or may be.
        seller_id: whose; ``None`` for what is nobody's.
        message: what is wrong, and what to do.
    """

    kind: str
    severity: Severity
    seller_id: str | None
    message: str


@click.command(cls=Command)
@takes(*READS)
@click.option(
    "--days",
    default=14.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="NUMBER",
    help="So many days ahead it looks for sellers who must approve again.",
)
@scrubs_frames
def audit(settings: Settings, days: float) -> None:
    """Find what needs somebody's attention.

    Nothing is changed.

    Records that nobody can read, pairs that the journal alone has, refreshes without an answer,
    sellers who must approve again, tokens that nobody refreshes, and what may lose tokens in the
    store itself. The exit status is 1 where there is an error among that.
    """

    async def look() -> tuple[str, int, list[Finding]]:
        async with opened_reader(settings) as reader:
            report = await reader.check()
            found = [Finding("store", "warning", None, words) for words in report.warnings]
            audit = Audit(datetime.now(UTC), timedelta(days=days))
            with Bar("looking through") as bar:
                async for kept in reader.all():
                    found += audit.findings(kept)
                    bar.advance()
            if words := reader.take_unreadable():
                found.append(Finding("unreadable", "error", None, words))
            return reader.scope, bar.done, found

    scope, count, found = run(look)
    found.sort(key=lambda each: (each.severity, each.kind, each.seller_id or ""))
    if wants_json():
        print_json({"scope": scope, "grants": count, "findings": [asdict(each) for each in found]})
    else:
        rows = [[each.severity, each.kind, each.seller_id or "-", each.message] for each in found]
        print_table(["", "finding", "seller", "what to do"], rows)
        findings = f"{len(found)} {'finding' if len(found) == 1 else 'findings'}"
        note(f"{count} {'grant' if count == 1 else 'grants'} of {scope}: {findings}")
    if any(each.severity == "error" for each in found):
        sys.exit(1)


class Audit:
    """Judges one grant after the other.

    Args:
        now: the time (aware).
        ahead: how long before its end a grant is told of.
    """

    def __init__(self, now: datetime, ahead: timedelta) -> None:
        self._now = now
        self._ahead = ahead
        self._owners: dict[bytes, str] = {}

    def findings(self, kept: Kept) -> Iterator[Finding]:
        """What is the matter with a grant."""
        seller_id = kept.grant.seller_id
        for kind, severity, message in (
            *self._state(kept),
            *self._ends(kept),
            *self._twins(kept),
        ):
            yield Finding(kind, severity, seller_id, message)

    def _state(self, kept: Kept) -> Iterator[tuple[str, Severity, str]]:
        grant = kept.grant
        if not kept.is_persisted:
            yield "unpersisted", "error", "the journal alone has the newest pair: start its manager"
        if grant.state == "reauthorize":
            yield "reauthorize", "error", f"the seller must approve again: {grant.reason}"
        elif grant.state == "ambiguous":
            yield "ambiguous", "warning", f"perhaps spent, is asked for again: {grant.reason}"
        elif grant.is_unanswered:
            yield "unanswered", "warning", "a refresh has no answer yet, or its process died"

    def _ends(self, kept: Kept) -> Iterator[tuple[str, Severity, str]]:
        grant, end = kept.grant, kept.grant.authorize_by
        if grant.state == "reauthorize":
            return
        if kept.freshness is Freshness.DEAD:
            yield "dead", "error", "no token is good any more: the seller must approve again"
        elif end is not None and end - self._now <= self._ahead:
            yield (
                "ends soon",
                "warning",
                f"the seller approves again, {ago(end, self._now)} at most",
            )
        if grant.token.expires_at is None:
            yield "unknown end", "warning", "nobody knows when the access token ends"
        if grant.refresh_at is not None and self._now - grant.refresh_at > _LATE:
            late = ago(grant.refresh_at, self._now)
            yield "overdue", "error", f"to be refreshed {late}: does a keeper run?"

    def _twins(self, kept: Kept) -> Iterator[tuple[str, Severity, str]]:
        if not kept.grant.token.refresh_token:
            return
        digest = hashlib.sha256(kept.grant.token.refresh_token.encode()).digest()
        owner = self._owners.setdefault(digest, kept.grant.seller_id)
        if owner != kept.grant.seller_id:
            words = f"its refresh token is that of {owner!r} too: who refreshes ends the other's"
            yield "shared token", "error", words
