"""A grant as a record holds it, for audits, migrations and repairs."""

from __future__ import annotations

from attrs import frozen

from .._models import Token
from .._records import Record
from ._grant import State
from ._grant_json import from_record


@frozen(kw_only=True)
class StoredGrant:
    """What a record says of a seller's grant; its token holds secrets, its ``repr`` does not.

    Attributes:
        seller_id: what the grant is filed under; ``seller_ids`` all that it serves.
        token: the newest pair.
        epoch: greater with each authorization; ``generation`` counts the pairs.
        state: ``live``, ``ambiguous`` or ``reauthorize``; ``reason`` says why.
        is_unanswered: whether a refresh was begun whose answer is not known.

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
    )
