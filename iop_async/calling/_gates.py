"""The gates that a client's calls go through: of the app, of an API, of a seller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Final, Literal, TypeAlias

import anyio

from .._clock import Clock
from .._exceptions import ApiError, IopError, Throttled, TransportError
from .._http.loops import PerLoop
from .._models import Call
from ._gate import Gate, Shut
from ._limits import Limits
from ._retry import is_refresh

Key: TypeAlias = tuple[Literal["app", "api", "seller"], str]

_REFUSALS: Final = 3
"""Refusals that are true of every call alike, with no success between them, until the circuit
breaker opens: a lone one may be due to what is odd about its call."""

_MAX_WAITING: Final = 10_000
"""Calls that wait at a gate at a time."""

_MANY: Final = 1000
"""Gates that are kept although they are idle; those of sellers come and go."""

_APP: Final[Key] = ("app", "")


class Gates:
    """What holds calls up, in each event loop: bans, limits, a circuit breaker.

    There is no gate where nothing is limited and nothing was refused lately, which is what a call
    looks at first (``are_any``).

    Args:
        limits: those of the client's own.
        clock: its monotonic time is looked at.
    """

    def __init__(self, limits: Limits | None, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._here = PerLoop(self._begin)
        self.are_any = limits is not None

    def _begin(self) -> _LoopGates:
        return _LoopGates(self._limits or Limits(), self._clock)

    async def enter(self, calls: Sequence[Call], seconds: float) -> Sequence[Gate]:
        """Wait at the gates of a request; leave each of those returned when it has an answer.

        Args:
            calls: those that it is for: one, or those of a batch.
            seconds: how long to wait at most.

        Raises:
            IopError: the error that shut a gate, where waiting would not help, with
                ``retry_after``; ``Throttled`` where the turn would not come in time;
                ``TransportError`` where too many wait.
        """
        return await self._here.here().enter(calls, seconds)

    def accept(self, call: Call) -> None:
        """A call got through."""
        gates = self._here.here()
        gates.accept(call)
        if not gates.are_any:
            self._look()

    def refuse(self, calls: Sequence[Call], error: IopError) -> None:
        """A request failed: shut the gate that its error is about; any other answer got through."""
        if not isinstance(error, ApiError):
            return
        if isinstance(error, Throttled) or error.affects_every_seller:
            self._here.here().refuse(calls, error)
            self.are_any = True
        elif self.are_any:
            for call in calls:
                self.accept(call)

    def refusal(self, call: Call, seconds: float) -> IopError | None:
        """The error that shut a gate of a call, where waiting so many seconds would not help."""
        try:
            self._here.here().require_open(call, seconds)
        except IopError as error:
            return error
        return None

    def _look(self) -> None:
        self.are_any = self._limits is not None or any(
            gates.are_any for _, gates in self._here.items()
        )


class _LoopGates:
    """Those of one event loop, made when they are needed and dropped when they are not."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._gates: dict[Key, Gate] = {}
        self._refusals: dict[Key, int] = {}

    @property
    def are_any(self) -> bool:
        return bool(self._gates or self._refusals)

    async def enter(self, calls: Sequence[Call], seconds: float) -> list[Gate]:
        counts = _counts(calls)
        gates = [(gate, counts[key]) for key in counts if (gate := self._gate(key)) is not None]
        if all(map(is_refresh, calls)):
            # The token manager has its own gate: it learns of a ban at once, and waits there.
            for gate, count in gates:
                if gate.shut_by is Shut.BAN:
                    _require_open(gate, 0.0)
                gate.go_ahead(count)
            return []
        passed: list[Gate] = []
        try:
            for gate, count in gates:
                await self._pass(gate, calls[0].access_token, seconds)
                passed.append(gate)
                gate.go_ahead(count - 1)
        except BaseException:
            for gate in passed:
                gate.leave()
            raise
        return passed

    async def _pass(self, gate: Gate, party: str | None, seconds: float) -> None:
        _require_open(gate, seconds)
        if gate.waiting >= _MAX_WAITING:
            msg = f"not sent: {gate.waiting} calls wait for their turn; start fewer at a time"
            raise TransportError(msg, may_have_been_applied=False)
        has_passed = False
        with anyio.move_on_after(seconds):
            await gate.enter(party=party)
            has_passed = True
        if not has_passed:
            raise _not_in_time(gate)

    def _gate(self, key: Key) -> Gate | None:
        gate = self._gates.get(key)
        if gate is None and (limits := self._limits_of(key)) is not None:
            self._make_room()
            gate = self._gates[key] = Gate(
                self._clock, limit=limits.in_flight, per_second=limits.per_second
            )
        return gate

    def _limits_of(self, key: Key) -> Limits | None:
        kind, name = key
        if kind == "api":
            return self._limits.apis.get(name)
        limits = self._limits if kind == "app" else self._limits.each_seller
        is_any = limits is not None and (limits.per_second or limits.in_flight)
        return limits if is_any else None

    def _make_room(self) -> None:
        if len(self._gates) >= _MANY:
            self._gates = {key: gate for key, gate in self._gates.items() if not gate.is_idle}

    def accept(self, call: Call) -> None:
        for key in _keys(call):
            self._refusals.pop(key, None)
            gate = self._gates.get(key)
            if gate is not None:
                gate.accept()
                if gate.is_open and self._limits_of(key) is None:
                    del self._gates[key]

    def refuse(self, calls: Sequence[Call], error: ApiError) -> None:
        for key in {_key(call, error) for call in calls} & _counts(calls).keys():
            if isinstance(error, Throttled):
                self._made(key).ban(error, error.retry_after)
                continue
            refusals = self._refusals[key] = self._refusals.get(key, 0) + 1
            if refusals >= _REFUSALS:
                self._made(key).fail(Shut.APP, error)

    def require_open(self, call: Call, seconds: float) -> None:
        for key in _keys(call):
            if (gate := self._gates.get(key)) is not None:
                _require_open(gate, seconds)

    def _made(self, key: Key) -> Gate:
        gate = self._gate(key)
        if gate is None:
            self._make_room()
            gate = self._gates[key] = Gate(self._clock, limit=None, is_slow_at_first=True)
        return gate


_ORDER: Final = ("api", "seller", "app")


def _counts(calls: Sequence[Call]) -> dict[Key, int]:
    """How many of the calls each gate counts.

    In one order for all: of two batches neither waits where the other is while that waits for it.
    """
    if len(calls) == 1:
        return dict.fromkeys(_keys(calls[0]), 1)
    counts = Counter(key for call in calls for key in _keys(call))
    return {key: counts[key] for key in sorted(counts, key=lambda key: (_ORDER.index(key[0]), key))}


def _keys(call: Call) -> tuple[Key, ...]:
    """The gates of a call, narrowest first: what waits there takes no turn of the others'."""
    if call.lane == "tokens":
        return (_APP,)
    if call.access_token is None:
        return ("api", call.api), _APP
    return ("api", call.api), ("seller", call.access_token), _APP


def _key(call: Call, error: ApiError) -> Key:
    if error.scope == "app":
        return _APP
    if error.scope == "seller" and call.access_token is not None:
        return "seller", call.access_token
    return "api", call.api


def _require_open(gate: Gate, seconds: float) -> None:
    """Raises what shut a gate, where waiting for so many seconds would not help."""
    if gate.shut_by is Shut.BAN:
        is_shut = gate.seconds_left > seconds
    else:
        is_shut = gate.shut_by is not None and not gate.room
    if is_shut and gate.error is not None:
        error = copy(gate.error)  # many raise it, each with its own traceback
        error.retry_after = gate.seconds_left
        error.tries = 0
        raise error


def _not_in_time(gate: Gate) -> IopError:
    _require_open(gate, 0.0)
    msg = f"not sent: {gate.waiting} calls wait for their turn within the client's own limits"
    return Throttled("ClientLimit", msg, advice="Raise Limits, or make fewer calls")
