"""A lock whose waiters are served in turn, one of each party after the other (round robin)."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable

import anyio


class Turns:
    """Held by one at a time; fair between parties, and first come, first served within one."""

    def __init__(self) -> None:
        self._is_held = False
        self._waiting: OrderedDict[Hashable, deque[anyio.Event]] = OrderedDict()
        self.waiting = 0

    async def acquire(self, party: Hashable = None) -> None:
        """Return when it is one's turn; :meth:`release` it then."""
        if not self._is_held:
            self._is_held = True
            return
        served = anyio.Event()
        self._waiting.setdefault(party, deque()).append(served)
        self.waiting += 1
        try:
            await served.wait()
        except BaseException:
            if served.is_set():
                self.release()
            else:
                self._leave(party, served)
            raise

    def release(self) -> None:
        """Let the next have its turn."""
        if not self._waiting:
            self._is_held = False
            return
        party, queue = self._waiting.popitem(last=False)
        served = queue.popleft()
        self.waiting -= 1
        if queue:
            self._waiting[party] = queue  # behind all others
        served.set()

    def _leave(self, party: Hashable, served: anyio.Event) -> None:
        queue = self._waiting[party]
        queue.remove(served)
        self.waiting -= 1
        if not queue:
            del self._waiting[party]
