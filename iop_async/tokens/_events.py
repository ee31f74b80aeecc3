"""What the manager tells whoever listens."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, Literal, TypeAlias

import anyio
from attrs import frozen

EventKind: TypeAlias = Literal[
    "refreshed",
    "refresh_failed",
    "ambiguous",
    "unpersisted",
    "authorize_by",
    "reauthorize",
    "error",
]

KEPT: Final = 1_000


@frozen(kw_only=True)
class TokenEvent:
    """Something happened to a seller's grant.

    Attributes:
        kind: ``refreshed``; ``refresh_failed``: it will be tried again; ``ambiguous``: a refresh
            token may be spent and its answer is lost; ``unpersisted``: the store failed, the pair
            is in the journal and in memory; ``authorize_by``: the seller should approve again
            before ``deadline``; ``reauthorize``: only the seller can give another token;
            ``error``: the keeper itself met an error and goes on.
        at: when (aware UTC).
        seller: whose; ``None`` for an error that is nobody's.
        reason: in words, without secrets.
        deadline: when the last token of the grant ends.
    """

    kind: EventKind
    at: datetime
    seller: str | None = None
    reason: str = ""
    deadline: datetime | None = None


class EventStream(AsyncIterator[TokenEvent]):
    """Events in order, for one listener. A slow one loses the oldest; ``missed`` counts them."""

    def __init__(self) -> None:
        self.missed: int = 0
        self._waiting: deque[TokenEvent] = deque(maxlen=KEPT)
        self._arrived = anyio.Event()
        self._closed = False

    def push(self, event: TokenEvent) -> None:
        """Add an event; never waits."""
        self.missed += len(self._waiting) == KEPT
        self._waiting.append(event)
        self._wake()

    def close(self) -> None:
        """No more events; those that wait are still read."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = anyio.Event()

    async def __anext__(self) -> TokenEvent:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            await self._arrived.wait()
        return self._waiting.popleft()


class Announcer:
    """Hands every event to every stream that listens."""

    def __init__(self) -> None:
        self._streams: list[EventStream] = []

    def listen(self) -> EventStream:
        """A stream of what happens from now on."""
        stream = EventStream()
        self._streams.append(stream)
        return stream

    def announce(self, event: TokenEvent) -> None:
        """Tell everybody."""
        for stream in self._streams:
            stream.push(event)

    def close(self) -> None:
        """End every stream."""
        for stream in self._streams:
            stream.close()
        self._streams.clear()
