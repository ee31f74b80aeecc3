"""Grants lately used, found by any of their sellers; bounded, and never the only copy."""

from __future__ import annotations

from collections import OrderedDict

from ._grant import Grant


class Cache:
    """Keeps the grants used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_name: OrderedDict[str, Grant] = OrderedDict()
        self._aliases: dict[str, str] = {}

    def get(self, seller_id: str) -> Grant | None:
        """The grant of a seller, if it is here."""
        name = self._aliases.get(seller_id)
        if name is None:
            return None
        self._by_name.move_to_end(name)
        return self._by_name[name]

    def put(self, grant: Grant) -> None:
        """Keep a grant, in the place of an older one; drop the one not used for longest."""
        known = self._by_name.get(grant.seller_id)
        if known is not None:
            if known.version > grant.version:
                return
            if known.seller_ids == grant.seller_ids:
                self._by_name[grant.seller_id] = grant
                self._by_name.move_to_end(grant.seller_id)
                return
            self._remove(grant.seller_id)
        for alias in grant.seller_ids:
            self._remove(self._aliases.get(alias, ""))  # it does not serve that seller any more
        self._by_name[grant.seller_id] = grant
        self._aliases |= dict.fromkeys(grant.seller_ids, grant.seller_id)
        while len(self._by_name) > self._size:
            self._remove(next(iter(self._by_name)))

    def update(self, grant: Grant) -> None:
        """Keep a grant in the place of an older one, if there is one: nobody asked for it."""
        if grant.seller_id in self._by_name:
            self.put(grant)

    def drop(self, seller_id: str) -> None:
        """Forget the grant of a seller."""
        self._remove(self._aliases.get(seller_id, seller_id))

    def _remove(self, name: str) -> None:
        grant = self._by_name.pop(name, None)
        for alias in grant.seller_ids if grant is not None else ():
            if self._aliases.get(alias) == name:
                del self._aliases[alias]
