"""What a manager says of its grants and of itself: the face that only looks."""

from __future__ import annotations

from collections.abc import AsyncIterator

from .._inputs import require_seller_id
from .._scrub import scrubs_frames
from ._events import Announcer, EventStream
from ._examiner import Examiner
from ._health import AtStake, Health
from ._lifecycle import Lifecycle
from ._reports import SellerStatus


class Observed:
    """Answers questions that change nothing."""

    _announcer: Announcer
    _lifecycle: Lifecycle
    _examiner: Examiner | None = None

    @property
    def _seen_here(self) -> Examiner:
        _ = self._lifecycle.here
        assert self._examiner is not None  # noqa: S101 - it is made before that is there
        return self._examiner

    async def status(self, seller_id: str) -> SellerStatus:
        """The state of a seller's grant.

        Raises:
            UnknownSeller: there is none.
        """
        require_seller_id(seller_id)
        return await self._seen_here.status(seller_id)

    @scrubs_frames
    async def unread(self, seller_id: str) -> tuple[str, ...]:
        """The answers to a seller's refreshes that nobody could read: secrets, the latest last.

        Each may hold the new pair; a later version of this library reads them again by itself.

        Raises:
            UnknownSeller: there is no grant of this seller.
        """
        require_seller_id(seller_id)
        return await self._seen_here.unread(seller_id)

    def statuses(self) -> AsyncIterator[SellerStatus]:
        """The state of every grant, in no order.

        Raises:
            StoreError: some records cannot be read; all others came before.
        """
        return self._seen_here.statuses()

    async def health(self) -> Health:
        """How this manager is: store, keeper, what is not persisted, and the nearest death.

        Cheap enough for a probe: the store is asked for a few rows, and has five seconds for that.
        All grants are counted beside it, at most a tenth of the time; ``survey`` is the last
        count, with its time. ::

            health = await tokens.health()
            print(health.is_healthy, *health.problems)
        """
        return await self._seen_here.health()

    @property
    def at_stake(self) -> AtStake:
        """What an end of this process now would leave behind; also while the manager is left."""
        return AtStake() if self._examiner is None else self._examiner.at_stake

    def events(self) -> EventStream:
        """What happens from now on, in order. A listener that is slow delays nobody.

        The stream ends when the manager is left; between that and entering it again there is
        nothing to hear, so one that is asked for then is at its end. It may be asked for before
        the manager is entered.
        """
        return self._announcer.listen()
