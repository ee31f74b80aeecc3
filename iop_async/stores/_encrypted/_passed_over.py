"""Telling once of each record that cannot be decrypted."""

from __future__ import annotations

import logging
from typing import Final

from ..._exceptions import StoreError
from ..._records import Record

_log = logging.getLogger("iop_async.stores")

_REMEMBERED: Final = 10_000


class PassedOver:
    """Logs that a record cannot be decrypted: once, for as long as it is as it is."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str, int]] = set()

    def tell(self, record: Record, error: StoreError) -> None:
        """Log it, unless that was done."""
        what = (record.scope, record.seller, record.revision)
        if what not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known.add(what)
            _log.error("a record that is due is passed over: %s", error)
