"""The answers to all sellers' refreshes together: incidents, outages, bans."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import anyio

from .._clock import Clock
from .._exceptions import IopError, StaleRecord, Throttled
from ..calling import Gate, Shut
from ._events import Announcer, EventKind
from ._grant import Grant
from ._verdicts import Verdict, verdict_on

_LATELY: Final = 60.0
"""Seconds that refusals are counted over."""

_MANY: Final = 3
"""Sellers whose failures, with no success between them, are no longer those of a seller."""

_BELIEVED_AFTER: Final = 30 * 60.0
"""Seconds of an incident after which its refusals are believed all the same."""

_POSTPONED_KEPT: Final = 10_000


class Presentations:
    """Tells what fails for a seller from what fails for everybody, and shuts the gate on that.

    Where at least three sellers and half of the last minute's presentations are refused, the
    gateway has an incident: refusals are not believed until one is accepted. Where nothing gets
    through for three sellers, there is an outage. One probe at a time then looks for the end.
    """

    def __init__(self, gate: Gate, clock: Clock, announcer: Announcer) -> None:
        self.gate = gate
        self._clock = clock
        self._announcer = announcer
        self._answers: deque[tuple[float, str, bool]] = deque(maxlen=100_000)
        self._silent: set[str] = set()
        self._postponed: dict[str, int] = {}
        self._again: dict[str, int] = {}
        self._on_their_way: dict[tuple[tuple[int, int], str | None], anyio.Event | None] = {}
        self._incident_since: float | None = None
        self._is_believed = False
        self._is_app_refused = False

    @asynccontextmanager
    async def one_at_a_time(self, grant: Grant) -> AsyncIterator[None]:
        """Raises ``StaleRecord`` once the same pair was presented for another seller.

        Sellers that were split off while their refresh token was on its way have the same.
        """
        pair = (grant.age, grant.token.refresh_token)
        if pair in self._on_their_way:
            answered = self._on_their_way[pair] = self._on_their_way[pair] or anyio.Event()
            await answered.wait()
            msg = f"the refresh token of seller {grant.seller_id} was presented for another seller"
            raise StaleRecord(msg)
        self._on_their_way[pair] = None
        try:
            yield
        finally:
            if (waited_for := self._on_their_way.pop(pair)) is not None:
                waited_for.set()

    def accepted(self, seller_id: str) -> None:
        """A refresh succeeded."""
        self._answers.append((self._clock.monotonic(), seller_id, False))
        self._is_believed = False
        if self._incident_since is not None:
            self._end_incident("refresh tokens are accepted again")
        self._answered(seller_id)

    def _answered(self, seller_id: str) -> None:
        """The gateway does its work: whoever failed while it did not is tried again."""
        self._silent.clear()
        if self._is_app_refused:
            self._is_app_refused = False
            self._tell("incident_over", "the gateway takes the app's requests again")
        if self.gate.accept():
            self._again |= self._postponed
            self._postponed = {}
        self._postponed.pop(seller_id, None)
        self._again.pop(seller_id, None)

    @property
    def in_incident(self) -> bool:
        """Whether refusals are not believed at present."""
        return self._incident_since is not None

    def _end_incident(self, reason: str) -> None:
        self._incident_since = None
        self._tell("incident_over", reason)

    def _tell(self, kind: EventKind, reason: str) -> None:
        self._announcer.tell(kind, self._clock.now(), reason=reason)

    def failed(self, grant: Grant, error: IopError) -> None:
        """The presentation that ``grant`` intended failed."""
        seller_id = grant.seller_id
        verdict = verdict_on(error)
        if len(self._postponed) < _POSTPONED_KEPT:
            self._postponed[seller_id] = grant.generation
        if verdict is Verdict.REFUSED:
            self.refused(grant, error)
        elif verdict is Verdict.OF_THE_APP:
            self.gate.fail(Shut.APP, error)
            if not self._is_app_refused:
                self._is_app_refused = True
                self._tell("incident", f"the gateway refuses the app, and so every seller: {error}")
        elif isinstance(error, Throttled):
            self.gate.ban(error, error.retry_after)
        else:
            self._silent.add(seller_id)
            if len(self._silent) >= _MANY:
                self.gate.fail(Shut.OUTAGE, error)

    def refused(self, grant: Grant, error: IopError) -> None:
        """A refresh token was refused, or answered with another seller's."""
        now = self._clock.monotonic()
        # What was presented before, and not answered, may well be spent: that is no incident.
        is_probe = grant.intent is not None and grant.intent.is_probe
        if not is_probe and grant.refused_at is None:
            self._answers.append((now, grant.seller_id, True))
        while self._answers and self._answers[0][0] < now - _LATELY:
            self._answers.popleft()
        refused = {answered for _, answered, is_refused in self._answers if is_refused}
        accepted = sum(not is_refused for *_, is_refused in self._answers)
        is_many = len(refused) >= _MANY and len(self._answers) - accepted >= accepted
        if is_many and self._incident_since is None and not self._is_believed:
            self._incident_since = now
            reason = (
                f"{len(refused)} sellers' refresh tokens were refused within a minute; that is not "
                f"believed, and looked at again until one is accepted: {error}"
            )
            self._tell("incident", reason)
        if self._incident_since is None:
            if self.gate.shut_by is Shut.OUTAGE:
                self._answered(grant.seller_id)
            return
        if now - self._incident_since < _BELIEVED_AFTER:
            self.gate.fail(Shut.INCIDENT, error)
        else:
            self._is_believed = True
            self._end_incident("it has lasted for so long that refusals are believed")
            self.gate.accept()

    def take_postponed(self, limit: int) -> list[tuple[str, int]]:
        """So many of the sellers whose refresh failed while much did, to be tried again at once.

        With the generation that was not refreshed. None before something got through again.
        """
        taken = list(islice(self._again.items(), limit))
        for seller_id, _ in taken:
            del self._again[seller_id]
        return taken
