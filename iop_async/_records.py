"""Records: opaque bodies, and the few columns that a store searches by."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen


@frozen(kw_only=True, slots=False)  # made often: with slots that takes twice as long
class Record:
    """One grant in a store: a body that the store does not read, and what it is found by.

    A ``Token`` is what a gateway gave, a ``Grant`` what we keep of a seller, a ``Record`` what a
    store keeps.

    Attributes:
        scope: app and platform; equal seller ids in two scopes are two sellers.
        seller_id: what the record is filed under.
        seller_ids: every seller id that finds it, ``seller_id`` among them.
        due_at: when somebody must look at it next (aware UTC); ``None``: not by itself.
        dies_at: its expiry, when it stops being of use; the earliest goes first among those due.
        generation: counts the pairs it has held.
        revision: counts the writes; 0 before the first.
        body: the grant itself, which holds secrets.

    Example::

        async for record in store.records(tokens.scope):
            print(record.seller_id, record.due_at, record.dies_at)
    """

    scope: str
    seller_id: str
    seller_ids: tuple[str, ...]
    due_at: datetime | None = None
    dies_at: datetime | None = None
    generation: int = 1
    revision: int = 0
    body: bytes = field(repr=False)
