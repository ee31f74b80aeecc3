"""One flight per seller: whoever needs its outcome waits for it, and nobody owns it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import anyio

from .._exceptions import TokenError
from ._background import Background
from ._grants import Grant

Work: TypeAlias = Callable[[], Awaitable[Grant]]


class Flight:
    """A refresh under way."""

    def __init__(self) -> None:
        self._landed = anyio.Event()
        self._outcome: Grant | Exception = TokenError("the token manager was closed meanwhile")

    async def outcome(self) -> Grant:
        """Wait for the grant, or raise what the refresh raised."""
        await self._landed.wait()
        if isinstance(self._outcome, Exception):
            raise self._outcome.with_traceback(None)
        return self._outcome

    async def fly(self, work: Work) -> None:
        """Do the work, and let everybody know."""
        try:
            self._outcome = await work()
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
            self._outcome = error
        finally:
            self._landed.set()


class Flights:
    """The refreshes under way, by the seller that the grant is filed under."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._by_seller: dict[str, Flight] = {}

    def __contains__(self, seller: str) -> bool:
        return seller in self._by_seller

    @property
    def sellers(self) -> list[str]:
        """Whose refresh is under way."""
        return list(self._by_seller)

    def join(self, seller: str, work: Work, *, drained: bool = True) -> Flight:
        """The flight of a seller; ``work`` is done where there is none yet.

        Closing waits for work that is to be ``drained``.
        """
        flight = self._by_seller.get(seller)
        if flight is None:
            flight = Flight()
            self._background.spawn(partial(self._fly, seller, flight, work), drained=drained)
            self._by_seller[seller] = flight
        return flight

    async def _fly(self, seller: str, flight: Flight, work: Work) -> None:
        try:
            await flight.fly(work)
        finally:
            del self._by_seller[seller]
