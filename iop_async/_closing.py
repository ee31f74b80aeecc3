"""``async with`` for whatever has an ``aclose``."""

from __future__ import annotations

from types import TracebackType


class ClosesOnExit:
    """Closes what it is mixed into when its ``async with`` is left."""

    __slots__ = ()

    async def aclose(self) -> None:
        """Close it."""
        raise NotImplementedError

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
