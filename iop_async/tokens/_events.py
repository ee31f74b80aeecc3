"""What the manager tells whoever listens."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final, Literal, Self, TypeAlias
from weakref import WeakSet

import anyio
from anyio.lowlevel import EventLoopToken, current_token
from attrs import frozen

from .._redact import legible
from ._grant import Grant, authorize_by

EventKind: TypeAlias = Literal[
    "refreshed",
    "refresh_failed",
    "ambiguous",
    "incident",
    "incident_over",
    "doubtful_lifetime",
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
            token may be spent and its answer is lost; ``incident``: so many refresh tokens are
            refused at once that it is not believed, or the app itself is (its key, secret, IP
            address or permission); ``incident_over``: one is accepted again;
            ``doubtful_lifetime``: a lifetime that the gateway named makes no sense, and was not
            believed; ``unpersisted``: the store failed, the pair is in the journal and in memory;
            ``authorize_by``: the seller should approve again before ``deadline``;
            ``reauthorize``: only the seller can give another token; ``error``: the keeper itself
            met an error and goes on.
        at: when (aware UTC).
        seller_id: whose; ``None`` for an error or an incident, which is nobody's.
        reason: in words, without secrets.
        deadline: when the last token of the grant ends.

    Example::

        async with tokens.events() as events:
            await tokens.refresh("1001")
            event = await anext(events)
        print(event.kind, event.seller_id, event.reason, event.deadline)
    """

    kind: EventKind
    at: datetime
    seller_id: str | None = None
    reason: str = ""
    deadline: datetime | None = None


class EventStream(AsyncIterator[TokenEvent]):
    """Events in order, for one listener. A slow one loses the oldest; ``missed`` counts them.

    The manager keeps no stream: one that nobody holds any more is gone, with what waits in it. Who
    holds it but stops listening calls :meth:`close`, or uses it in an ``async with``.

    Example::

        events = tokens.events()
        await tokens.refresh("1001")
        events.close()  # a service listens until the manager is left
        async for event in events:
            if event.kind in ("authorize_by", "reauthorize"):
                print("write to", event.seller_id, "by", event.deadline)
    """

    def __init__(self, announcer: Announcer) -> None:
        self.missed: int = 0
        self._announcer = announcer
        self._waiting: deque[TokenEvent] = deque(maxlen=KEPT)
        self._arrived = anyio.Event()
        self._closed = False

    def push(self, event: TokenEvent) -> None:
        """Add an event; never waits."""
        self.missed += len(self._waiting) == KEPT
        self._waiting.append(event)
        self._wake()

    def close(self) -> None:
        """No more events; those that wait are still read, and then the stream ends."""
        self._closed = True
        self._announcer.let_go(self)
        self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = anyio.Event()

    async def __anext__(self) -> TokenEvent:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._announcer.require_same_loop()
            await self._arrived.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Announcer:
    """Hands every event to every stream that somebody holds and has not closed."""

    def __init__(self) -> None:
        self._streams: WeakSet[EventStream] = WeakSet()
        self._event_loop: EventLoopToken | None = None
        self._closed = False

    def open(self) -> None:
        """Tell of what happens in this event loop."""
        self._event_loop, self._closed = current_token(), False

    def require_same_loop(self) -> None:
        """Raises ``RuntimeError`` where a listener would wait in another event loop for ever."""
        if self._event_loop is not None and current_token() != self._event_loop:
            msg = "the token manager runs in another event loop; listen to its events in that one"
            raise RuntimeError(msg)

    def listen(self) -> EventStream:
        """A stream of what happens from now on."""
        stream = EventStream(self)
        self._streams.add(stream)
        if self._closed:
            stream.close()
        return stream

    def let_go(self, stream: EventStream) -> None:
        """Tell a stream nothing more."""
        self._streams.discard(stream)

    def tell(
        self,
        kind: EventKind,
        at: datetime,
        grant: Grant | None = None,
        reason: str = "",
        *,
        deadline: datetime | None = None,
    ) -> None:
        """Tell everybody; the ``deadline`` is the grant's own where no other is known."""
        event = TokenEvent(
            kind=kind,
            at=at,
            seller_id=None if grant is None else grant.seller_id,
            # Errors of other libraries quote what they were given.
            reason=reason and legible(reason, () if grant is None else grant.secrets),
            deadline=deadline or (None if grant is None else authorize_by(grant)),
        )
        for stream in list(self._streams):
            stream.push(event)

    def close(self) -> None:
        """End every stream; one that is asked for later, until :meth:`open`, is at its end."""
        self._event_loop, self._closed = None, True
        for stream in list(self._streams):
            stream.close()
