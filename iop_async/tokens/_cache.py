"""Grants lately used, found by any of their sellers; bounded, and never the only copy."""

from __future__ import annotations

from collections import OrderedDict

from ._grants import Grant


class Cache:
    """Keeps the grants used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_name: OrderedDict[str, Grant] = OrderedDict()
        self._aliases: dict[str, str] = {}

    def get(self, seller: str) -> Grant | None:
        """The grant of a seller, if it is here."""
        name = self._aliases.get(seller)
        if name is None:
            return None
        self._by_name.move_to_end(name)
        return self._by_name[name]

    def put(self, grant: Grant) -> None:
        """Keep a grant, in the place of an older one; drop the one not used for longest."""
        known = self._by_name.get(grant.seller)
        if known is not None and known.version > grant.version:
            return
        self._remove(grant.seller)
        for alias in grant.sellers:
            self._remove(self._aliases.get(alias, ""))  # it does not serve that seller any more
        self._by_name[grant.seller] = grant
        self._aliases |= dict.fromkeys(grant.sellers, grant.seller)
        while len(self._by_name) > self._size:
            self._remove(next(iter(self._by_name)))

    def update(self, grant: Grant) -> None:
        """Keep a grant in the place of an older one, if there is one: nobody asked for it."""
        if grant.seller in self._by_name:
            self.put(grant)

    def drop(self, seller: str) -> None:
        """Forget the grant of a seller."""
        self._remove(self._aliases.get(seller, seller))

    def _remove(self, name: str) -> None:
        grant = self._by_name.pop(name, None)
        for alias in grant.sellers if grant is not None else ():
            if self._aliases.get(alias) == name:
                del self._aliases[alias]
