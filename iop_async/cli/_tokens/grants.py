"""Grants as store and journal have them, without a manager: nothing is refreshed or written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from attrs import frozen

from ..._client import Client
from ..._collect_errors import MapCollectingErrors, UnreadableRecords
from ..._redact import legible
from ..._refresh import Freshness, RefreshPolicy
from ...protocols import Sealer
from ...stores import ConfiguredStore, SpillJournal, StoreReport
from ...tokens import StoredGrant, TokenManager, read_grant
from .._documents import iso
from .._opening import app_of, gateway_of, opened_store
from .._output import warn
from .._settings import Settings

POLICY: Final = RefreshPolicy()

READS: Final = ("store", "app_key", "gateway", "allow_http", "scope", "journal")
"""The settings by which grants are found."""


@frozen
class Kept:
    """A grant, and where it is.

    Attributes:
        grant: the newest that there is of its sellers.
        is_persisted: ``False`` where the journal alone has it.
        freshness: what its access token is good for now.
    """

    grant: StoredGrant
    is_persisted: bool
    freshness: Freshness

    def document(self) -> dict[str, Any]:
        """All but the token, as JSON has it; times are ISO 8601, UTC."""
        grant = self.grant
        return {
            "seller_id": grant.seller_id,
            "seller_ids": list(grant.seller_ids),
            "state": grant.state,
            "reason": legible(grant.reason),
            "freshness": self.freshness.value,
            "expires_at": iso(grant.token.expires_at),
            "refresh_expires_at": iso(grant.token.refresh_expires_at),
            "authorize_by": iso(grant.authorize_by),
            "refresh_at": iso(grant.refresh_at),
            "attempts": grant.attempts,
            "generation": grant.generation,
            "is_persisted": self.is_persisted,
            "is_unanswered": grant.is_unanswered,
        }


class Reader:
    """Reads the grants of a scope.

    Args:
        store: where they are.
        journal: where some may be that the store did not take.
        scope: app and platform.

    Attributes:
        unreadable: what is wrong with records that cannot be read; empty until all were.
    """

    def __init__(self, store: ConfiguredStore, journal: SpillJournal | None, scope: str) -> None:
        self._store = store
        self._journal = journal
        self.scope = scope
        self.unreadable = ""

    async def check(self) -> StoreReport:
        """What is to be said of the store. Raises ``StoreError`` where it is of no use."""
        return await self._store.check(self.scope)

    async def all(self) -> AsyncIterator[Kept]:
        """Every grant, in no order. Of the store's and the journal's the later one."""
        left = await self._journaled()
        try:
            async for grant in MapCollectingErrors(read_grant, self._store.records(self.scope)):
                later = left.pop(grant.seller_id, None)
                if later is not None and _age(later) > _age(grant):
                    yield _kept(later, is_persisted=False)
                else:
                    yield _kept(grant, is_persisted=True)
        except UnreadableRecords as error:
            self.unreadable = str(error)
        for grant in left.values():
            yield _kept(grant, is_persisted=False)

    def take_unreadable(self) -> str:
        """What is wrong with records that cannot be read; who asks tells of it."""
        words, self.unreadable = self.unreadable, ""
        return words

    async def find(self, seller_id: str) -> Kept | None:
        """The grant that a seller has, if there is one."""
        record = await self._store.get(self.scope, seller_id)
        stored = None if record is None else read_grant(record)
        for grant in (await self._journaled()).values():
            if seller_id in grant.seller_ids and (stored is None or _age(grant) > _age(stored)):
                return _kept(grant, is_persisted=False)
        return None if stored is None else _kept(stored, is_persisted=True)

    async def _journaled(self) -> dict[str, StoredGrant]:
        found: dict[str, StoredGrant] = {}
        records = await self._journal.records() if self._journal else []
        for grant in map(read_grant, (each for each in records if each.scope == self.scope)):
            known = found.setdefault(grant.seller_id, grant)
            if _age(grant) > _age(known):
                found[grant.seller_id] = grant
        return found


def _age(grant: StoredGrant) -> tuple[int, int]:
    return grant.epoch, grant.generation


def _kept(grant: StoredGrant, *, is_persisted: bool) -> Kept:
    return Kept(grant, is_persisted, POLICY.freshness(grant.token, datetime.now(UTC)))


@asynccontextmanager
async def opened_reader(settings: Settings) -> AsyncIterator[Reader]:
    """A reader of the store of the settings; the app's secret is not needed."""
    client = Client(app_of(settings, signs=False), gateway_of(settings))
    async with opened_store(settings) as store:
        # Not entered: it looks at nothing, and names the scope as one that runs would.
        scope = TokenManager(client, store, scope=settings.get("scope")).scope
        reader = Reader(store, _journal_of(settings, store), scope)
        yield reader
        if reader.unreadable:
            warn(reader.unreadable)


def _journal_of(settings: Settings, store: ConfiguredStore) -> SpillJournal | None:
    path, beside = settings.get("journal"), getattr(store, "path", None)
    if path is None and beside is not None:
        path = f"{beside}.spill"  # where a manager has it that nobody told of another
    sealer = store if isinstance(store, Sealer) else None
    return None if path is None else SpillJournal(path, sealer=sealer)
