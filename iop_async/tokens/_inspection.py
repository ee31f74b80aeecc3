"""A grant as a record holds it, for audits, migrations and repairs."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from attrs import frozen

from .._models import Token
from .._records import Record
from .._refresh import RefreshPolicy
from ._grant import State, authorize_by, refresh_at
from ._grant_json import from_record

_POLICY: Final = RefreshPolicy()


@frozen(kw_only=True)
class StoredGrant:
    """What a record says of a seller's grant; its token holds secrets, its ``repr`` does not.

    Attributes:
        seller_id: what the grant is filed under; ``seller_ids`` all that it serves.
        token: the newest pair.
        epoch: greater with each authorization; ``generation`` counts the pairs.
        state: ``live``, ``ambiguous`` or ``reauthorize``; ``reason`` says why.
        is_unanswered: whether a refresh was begun whose answer is not known.
        authorize_by: end of the last token that the grant can give.
        refresh_at: when it is to be refreshed, by the default policy; ``None`` where nobody may.
        attempts: refreshes that failed since the last that did not.

    Example::

        async for record in store.records(tokens.scope):
            grant = iop.tokens.read_grant(record)
            print(grant.seller_id, grant.state, grant.generation, grant.token.expires_at)
    """

    seller_id: str
    seller_ids: tuple[str, ...]
    token: Token
    epoch: int
    generation: int
    state: State
    reason: str
    is_unanswered: bool
    authorize_by: datetime | None
    refresh_at: datetime | None
    attempts: int


def read_grant(record: Record) -> StoredGrant:
    """The grant in a record of any store or journal that a manager writes; unsealed before.

    Raises:
        StoreError: a newer version wrote it, or nobody did.

    Example::

        record = await store.get(tokens.scope, "1001")
        grant = iop.tokens.read_grant(record)
    """
    grant = from_record(record)
    return StoredGrant(
        seller_id=grant.seller_id,
        seller_ids=grant.seller_ids,
        token=grant.token,
        epoch=grant.epoch,
        generation=grant.generation,
        state=grant.state,
        reason=grant.reason,
        is_unanswered=grant.intent is not None,
        authorize_by=authorize_by(grant),
        refresh_at=refresh_at(grant, _POLICY),
        attempts=grant.attempts,
    )
