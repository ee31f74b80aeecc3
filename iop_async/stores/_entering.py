"""``async with`` for stores: what is wrong with one shows when it is entered."""

from __future__ import annotations

from typing import Self

from .._closing import ClosesOnExit


class EnteredOnce(ClosesOnExit):
    """Opens what it is mixed into, and closes it at the end, or at once where that fails."""

    _entered = False

    async def _open(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        if self._entered:
            msg = "this store was entered before; make a new one"
            raise RuntimeError(msg)
        self._entered = True
        try:
            await self._open()
        except BaseException:
            await self.aclose()
            raise
        return self
