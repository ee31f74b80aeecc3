"""What a store keeps: opaque bodies, and the few facts that it must search by."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen


@frozen(kw_only=True)
class Record:
    """One grant in a store: a body that the store does not read, and what it is found by.

    Attributes:
        scope: app and platform; equal seller ids in two scopes are two sellers.
        seller: what the record is filed under.
        sellers: every seller id that finds it, ``seller`` among them.
        due_at: when somebody must look at it next (aware UTC); ``None``: not by itself.
        dies_at: when it stops being of use; the earliest goes first among those due.
        generation: counts the pairs it has held.
        revision: counts the writes; 0 before the first.
        body: the grant itself, which holds secrets.
    """

    scope: str
    seller: str
    sellers: tuple[str, ...]
    due_at: datetime | None = None
    dies_at: datetime | None = None
    generation: int = 1
    revision: int = 0
    body: bytes = field(repr=False)
