"""``async with`` for stores: what is wrong with one shows when it is entered."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class EnteredOnce:
    """Opens what it is mixed into, and closes it at the end, or at once where that fails."""

    _entered = False

    async def _open(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close what was opened."""
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

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
