"""Claiming, in steps that each keep the server for a few milliseconds at most."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from attrs import Factory, define

from ..._exceptions import StoreError
from ..._records import Record
from .._base import Row, row_of
from .._contract import CLAIM_WINDOW
from . import _rows, _scripts
from ._runner import ScriptCall, ScriptRunner

BATCH: Final = 250
"""Records that the server looks at in one step, while everybody else waits."""


ADOPTED: Final = 50
"""Records that fell due first of which a step looks whether an older release wrote them."""


@define(kw_only=True)
class Claim:
    """Leases what is due, and can take that back.

    Attributes:
        rows: what was leased; what cannot be read is leased too, beyond the limit, so that it
            neither takes the places of others nor comes back at once.

    Records that have fallen due are put, once each, where the earliest expiry is found first; but
    no more of them than ``CLAIM_WINDOW`` stand there at a time, however many are due.
    """

    runner: ScriptRunner
    keys: tuple[bytes, ...]
    scope: str
    due_by: int
    holder: bytes
    span: int
    rows: list[Row] = Factory(list)
    taken: list[tuple[bytes, list[bytes]]] = Factory(list)

    async def take(self, limit: int) -> list[Row]:
        """Lease no more records than the limit; what was leased."""
        wanted = limit
        began = b""
        try:
            while wanted > 0:
                sizes = (BATCH, began, CLAIM_WINDOW, ADOPTED)
                args = (self.due_by, wanted, self.holder, self.span, *sizes)
                # not again: what the lost answer named would stay leased by nobody
                call = ScriptCall(_scripts.CLAIM, self.keys, args)
                try:
                    await self.runner.execute(call)
                finally:
                    may_be_more, began, ends, *found = call.answer or (0, b"", b"")
                    if found:
                        self.taken.append((ends, found[::3]))
                rows = self._read(found)
                self.rows += rows
                readable = sum(isinstance(row, Record) for row in rows)
                wanted -= readable
                if not may_be_more and readable == len(rows):
                    break
        except StoreError:
            with suppress(StoreError):  # then they end by themselves
                await self.undo()
            raise
        return self.rows

    def _read(self, found: Sequence[bytes]) -> list[Row]:
        rows = zip(found[::3], found[1::3], found[2::3], strict=True)
        return [row_of(_rows.numbered, self.scope, record_id, row) for record_id, *row in rows]

    async def undo(self, _: object = None) -> None:
        """End the leases that nobody learned of."""
        for ends, ids in self.taken:
            args = (self.holder, ends, *ids)
            await self.runner.execute(ScriptCall(_scripts.UNCLAIM, self.keys, args))
