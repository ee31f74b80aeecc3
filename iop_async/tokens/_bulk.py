"""Many grants at a time: looked up and written in few round trips, where the store can do that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .._exceptions import StoreError
from .._models import Token
from .._records import Record
from .._refresh import RefreshPolicy
from ..protocols import BulkTokenStore
from ._cache import Cache
from ._grant import Grant, due_at
from ._grant_json import from_record, to_record
from ._transitions import authorized
from ._unpersisted import Unpersisted


class Bulk:
    """What a vault does with many grants at once.

    Args:
        store: where grants belong.
        scope: app and platform of the grants.
        policy: when a grant must be looked at again.
        cache: forgets what it has of sellers that are written.
        unpersisted: what waits for the store.
    """

    def __init__(
        self,
        store: BulkTokenStore,
        *,
        scope: str,
        policy: RefreshPolicy,
        cache: Cache,
        unpersisted: Unpersisted,
    ) -> None:
        self._store: Final = store
        self._scope = scope
        self._policy = policy
        self._cache = cache
        self._unpersisted = unpersisted

    async def known(self, approvals: Sequence[tuple[str, ...]]) -> list[list[Grant] | StoreError]:
        """The newest grants that the sellers of each approval find, or why that is not known.

        They are in the store, or wait for it.

        Raises:
            StoreError: the store failed.
        """
        asked = [seller_id for seller_ids in approvals for seller_id in seller_ids]
        found = iter(await self._store.get_many(self._scope, asked))
        known: list[list[Grant] | StoreError] = []
        for seller_ids in approvals:
            rows = [next(found) for _ in seller_ids]
            try:
                known.append(self._newest(seller_ids, rows))
            except StoreError as error:
                known.append(error.with_traceback(None))
        return known

    def _newest(
        self, seller_ids: Iterable[str], rows: Iterable[Record | StoreError | None]
    ) -> list[Grant]:
        records: dict[str, Record] = {}
        for row in rows:
            if isinstance(row, StoreError):
                raise row
            if row is not None:
                records[row.seller_id] = row
        grants = [from_record(record) for record in records.values()]
        waiting = self._unpersisted.find(seller_ids) if self._unpersisted.grants else None
        if waiting is not None:
            grants.append(waiting)
            grants.sort(key=lambda grant: grant.age)
        return list({grant.seller_id: grant for grant in grants}.values())

    def replaceable(self, seller_ids: Iterable[str], known: Sequence[Grant]) -> Grant | None:
        """The grant of just these sellers, whose place another takes by one write.

        ``None`` where there is more to do: others keep theirs, or something waits for the store.
        """
        is_one = len(known) == 1 and set(known[0].seller_ids) == set(seller_ids)
        return known[0] if is_one and not self._unpersisted.grants else None

    async def put(self, approvals: Sequence[tuple[Token, Grant | None]]) -> list[StoreError | None]:
        """Keep tokens, each in the place of a grant or of none; why not, where one is not.

        Raises:
            StoreError: nobody can tell which of them are kept.
        """
        grants = [authorized(self._scope, token, before) for token, before in approvals]
        written = await self._store.put_many(
            [to_record(grant, due_at=due_at(grant, self._policy)) for grant in grants]
        )
        for grant in grants:
            for seller_id in grant.seller_ids:
                self._cache.drop(seller_id)
        return [outcome if isinstance(outcome, StoreError) else None for outcome in written]
