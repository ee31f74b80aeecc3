"""The gateway's tokens against those of the store: held, reported as lost, or lost silently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

from ...sandbox import digest
from ...stores import SpillJournal, SQLiteStore
from ...tokens import StoredGrant, read_grant
from .gateway import SCOPE


@frozen
class StoredState:
    """A seller's grant in the app's files, without secrets.

    Attributes:
        digest: of the newest refresh token that they hold.
        is_unanswered: a refresh token was presented and its answer is not known.
        is_given_up: only the seller can give another token, and the files say so.
    """

    digest: str
    is_unanswered: bool = False
    is_given_up: bool = False


@frozen
class Audit:
    """The sellers, each in one of three sets.

    Attributes:
        held: the store has the refresh token that the gateway accepts.
        reported: it has not, and says that there is something to find out or to do.
        silent: it has not, and looks as if all were well.
    """

    held: frozenset[str]
    reported: frozenset[str]
    silent: frozenset[str]


def compare(live: Mapping[str, str], stored: Mapping[str, StoredState]) -> Audit:
    """Compare the gateway with the store.

    Args:
        live: seller to the digest of the refresh token that the gateway accepts.
        stored: seller to the state in the app's files.
    """
    # Of both sides: a seller whom only one of them knows is lost as well.
    sellers = live.keys() | stored.keys()
    held = frozenset(each for each, found in stored.items() if found.digest == live.get(each))
    known = {each for each, found in stored.items() if found.is_unanswered or found.is_given_up}
    return Audit(held, frozenset(known - held), frozenset(sellers - held - known))


async def read_stored(path: Path) -> dict[str, StoredState]:
    """Read the store at ``path`` and the journal beside it, whoever wrote them."""
    store = SQLiteStore(path)
    try:
        grants = [read_grant(record) async for record in store.records(SCOPE)]
    finally:
        await store.aclose()
    journaled = await SpillJournal(f"{path}.spill").records()
    return _newest_by_seller([*grants, *map(read_grant, journaled)])


def _newest_by_seller(grants: Iterable[StoredGrant]) -> dict[str, StoredState]:
    """Of the store's and the journal's grant of a seller the later one."""
    newest: dict[str, StoredGrant] = {}
    for grant in grants:
        known = newest.setdefault(grant.seller_id, grant)
        # An authorization begins a new epoch; within one, generations count the refreshes.
        if (grant.epoch, grant.generation) > (known.epoch, known.generation):
            newest[grant.seller_id] = grant
    return {
        seller: StoredState(
            digest(grant.token.refresh_token or ""),
            is_unanswered=grant.is_unanswered,
            is_given_up=grant.state != "live",
        )
        for seller, grant in newest.items()
    }
