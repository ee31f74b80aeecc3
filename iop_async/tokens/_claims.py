"""What is due, grant by grant, until nothing more is."""

from __future__ import annotations

from collections import deque
from typing import Final

from ._clock import Clock
from ._grants import Grant
from ._vault import Vault

_FIRST_PAGE: Final = 25
_LAST_PAGE: Final = 200
"""Grants claimed at a time: few at first, so that the first of them does not wait for the rest."""


class Claims:
    """Claims what is due, each seller once: one whose refresh fails may be due again at once."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._page = _FIRST_PAGE
        self._waiting: deque[Grant] = deque()
        self._seen: set[str] = set()
        self._again: set[str] = set()

    async def take(self) -> Grant | None:
        """A grant that is due and leased; ``None`` where there is no other."""
        while not self._waiting:
            claimed = await self._vault.claim(due_by=self._clock.now(), limit=self._page)
            sellers = {grant.seller for grant in claimed}
            if sellers <= self._again:
                return None
            self._page = min(self._page * 2, _LAST_PAGE)
            self._waiting += (grant for grant in claimed if grant.seller not in self._seen)
            self._again |= sellers & self._seen
            self._seen |= sellers
        return self._waiting.popleft()
