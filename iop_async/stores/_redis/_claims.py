"""Claiming, in steps that each keep the server for a few milliseconds at most."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from attrs import Factory, define

from ..._exceptions import StoreError
from ..._records import Record
from . import _rows, _scripts
from ._server import Exchange, Server

BATCH: Final = 250
"""Records that the server looks at in one step, while everybody else waits."""


@define(kw_only=True)
class Claim:
    """Leases what is due, and can take that back.

    A record that has fallen due is put, once, where the next to die is found first. So the first
    claim after a long pause, when a million are due, takes seconds; those after it do not.
    """

    server: Server
    keys: tuple[bytes, ...]
    scope: str
    due_by: int
    holder: bytes
    span: int
    taken: list[tuple[bytes, list[bytes]]] = Factory(list)

    async def take(self, limit: int) -> list[Record]:
        """The records that were leased, those that die first first."""
        records: list[Record] = []
        began = b""
        try:
            while len(records) < limit:
                args = (self.due_by, limit - len(records), self.holder, self.span, BATCH, began)
                # not again: what the lost answer named would stay leased by nobody
                may_be_more, began, ends, *rows = await self._run(_scripts.CLAIM, *args)
                if rows:
                    self.taken.append((ends, rows[::3]))
                records += self._records(rows)
                if not may_be_more:
                    break
        except StoreError:
            with suppress(StoreError):  # then they end by themselves
                await self.undo()
            raise
        return records

    def _records(self, rows: Sequence[bytes]) -> list[Record]:
        return [
            _rows.record_of(self.scope, row) for row in zip(rows[1::3], rows[2::3], strict=True)
        ]

    async def undo(self, _: object = None) -> None:
        """End the leases that nobody learned of."""
        for ends, ids in self.taken:
            await self._run(_scripts.UNCLAIM, self.holder, ends, *ids)

    async def _run(self, script: _scripts.Script, *args: bytes | int) -> Any:
        return await self.server.exchange(Exchange(script, self.keys, args))
