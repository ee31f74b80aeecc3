"""What the gateway holds against what the store holds: whether a grant is lost, and who said so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

from ...sandbox import digest
from ...stores import SpillJournal, SQLiteStore
from ...tokens._bodies import from_record
from ...tokens._grants import Grant
from .gateway import SCOPE


@frozen
class Kept:
    """What the app's files say of one seller, without secrets.

    Attributes:
        digest: of the newest refresh token that they hold.
        is_open: a refresh token was presented and its answer is not known.
        is_given_up: only the seller can give another token, and the files say so.
    """

    digest: str
    is_open: bool = False
    is_given_up: bool = False


@frozen
class Audit:
    """Every seller in one of three places.

    Attributes:
        held: the store has the refresh token that the gateway takes.
        reported: it has not, and says that there is something to find out or to do.
        silent: it has not, and looks as if all were well.
    """

    held: frozenset[str]
    reported: frozenset[str]
    silent: frozenset[str]


def compare(live: Mapping[str, str], kept: Mapping[str, Kept]) -> Audit:
    """Whether the store holds what the gateway holds.

    Args:
        live: seller to the digest of the refresh token that the gateway takes.
        kept: seller to what the app's files say.
    """
    sellers = live.keys() | kept.keys()
    held = frozenset(each for each, found in kept.items() if found.digest == live.get(each))
    known = {each for each, found in kept.items() if found.is_open or found.is_given_up}
    return Audit(held, frozenset(known - held), frozenset(sellers - held - known))


async def read(path: Path) -> dict[str, Kept]:
    """What the store at ``path`` and the journal beside it hold, whoever wrote it."""
    store = SQLiteStore(path)
    try:
        grants = [from_record(record) async for record in store.records(SCOPE)]
    finally:
        await store.aclose()
    spilled = await SpillJournal(f"{path}.spill").records()
    return _by_seller([*grants, *map(from_record, spilled)])


def _by_seller(grants: Iterable[Grant]) -> dict[str, Kept]:
    """The newest of each seller; of the store's and the journal's the later one."""
    newest: dict[str, Grant] = {}
    for grant in grants:
        known = newest.setdefault(grant.seller, grant)
        if (grant.authorization, grant.generation) > (known.authorization, known.generation):
            newest[grant.seller] = grant
    return {
        seller: Kept(
            digest(grant.token.refresh_token or ""),
            is_open=grant.intent is not None,
            is_given_up=grant.state != "live",
        )
        for seller, grant in newest.items()
    }
