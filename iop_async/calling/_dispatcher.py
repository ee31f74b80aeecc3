"""The course of a call: its gates and its tries, in its time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from math import inf
from random import random
from typing import Final, TypeAlias, TypeVar

from .._clock import Clock
from .._exceptions import ClockError, IopError, Throttled
from .._models import Call, Reply
from ._gate import Gate
from ._gates import Gates
from ._gateway_clock import GatewayClock
from ._limits import Limits
from ._retry import Retry, RetryBudget, is_stale, wait_before_retry

T = TypeVar("T")

Attempt: TypeAlias = Callable[[float | None], Awaitable[T]]
"""One try, within so many seconds."""

Outcome: TypeAlias = Reply | IopError

_NO_TIME: Final = 0.001
"""Seconds for a try where there are none left; the transport takes 0 for no limit."""


class Dispatcher:
    """Lets calls through their gates, and tries them as often as it is worth while.

    Args:
        retry: ``None`` for one try.
        limits: of the client's own; ``None`` for none.
        clock: its monotonic time is looked at; waits for it.
        gateway_clock: is put right by a refused timestamp.
    """

    def __init__(
        self,
        retry: Retry | None,
        limits: Limits | None,
        clock: Clock,
        gateway_clock: GatewayClock,
    ) -> None:
        self._retry = retry or Retry(attempts=1)
        self._clock = clock
        self._gateway_clock = gateway_clock
        self._budget = RetryBudget()
        self._gates = Gates(limits, clock)

    async def run(self, call: Call, attempt: Attempt[Reply]) -> Reply:
        """The reply, or the error of the last try, which says how many there were."""
        reply = await self._run((call,), attempt, call.timeout)
        if self._gates.are_any:
            self._gates.accept(call)
        return reply

    async def run_batch(
        self,
        calls: Sequence[Call],
        attempt: Callable[[Sequence[Call], float | None], Awaitable[Sequence[Outcome]]],
    ) -> list[Outcome]:
        """The outcomes of calls that share a request: those that a shut gate holds do not go.

        Raises:
            IopError: the request failed as a whole, or none of them may go.
        """
        limit = min((call.timeout for call in calls if call.timeout), default=None)
        seconds = self._seconds(limit)
        refusals = [self._gates.refusal(call, seconds) for call in calls]
        sent = [call for call, refusal in zip(calls, refusals, strict=True) if refusal is None]
        if refusals and refusals[0] is not None and not sent:
            raise refusals[0]
        answers = await self._run(sent, partial(attempt, sent), limit)
        for call, answer in zip(sent, answers, strict=True):
            if isinstance(answer, IopError):
                self._gates.refuse((call,), answer)
            elif self._gates.are_any:
                self._gates.accept(call)
        rest = iter(answers)
        return [next(rest) if refusal is None else refusal for refusal in refusals]

    async def repeat(self, attempt: Attempt[T], limit: float | None) -> T:
        """What is no call, and harmless to repeat: under no gate, and tried as calls are."""
        return await self._run((), attempt, limit)

    async def _run(self, calls: Sequence[Call], attempt: Attempt[T], limit: float | None) -> T:
        """What a request for these calls brings, however often it is made."""
        self._budget.calls += 1
        began = self._clock.monotonic()
        tries = free = 0
        is_corrected = False
        seconds = limit
        while True:
            passed: Sequence[Gate] = ()
            if self._gates.are_any:
                passed = await self._enter(calls, began, limit, tries)
            if limit is not None and (tries or passed):
                seconds = max(began + limit - self._clock.monotonic(), _NO_TIME)
            try:
                return await attempt(seconds)
            except IopError as error:
                tries += 1
                is_better = isinstance(error, ClockError) and self._gateway_clock.refused(error)
                if is_better and not is_corrected:
                    is_corrected = True
                    free += 1
                    continue
                self._gates.refuse(calls, error)
                free += is_stale(error) and free < self._retry.attempts
                now = self._clock.monotonic()
                left = began + self._seconds(limit) - now
                wait = self._wait(error, calls, tries - free, left, now)
                if wait is None:
                    _tell_effort(error, tries, now - began)
                    raise
            finally:
                for gate in passed:
                    gate.leave()
            await self._clock.sleep(wait)

    async def _enter(
        self, calls: Sequence[Call], began: float, limit: float | None, tries: int
    ) -> Sequence[Gate]:
        now = self._clock.monotonic()
        try:
            return await self._gates.enter(calls, began + self._seconds(limit) - now)
        except IopError as error:
            _tell_effort(error, tries, now - began)
            raise

    def _seconds(self, limit: float | None) -> float:
        """For all tries, and the waits at gates."""
        return min(self._retry.within or inf, limit or inf)

    def _wait(
        self, error: IopError, calls: Sequence[Call], attempts: int, left: float, now: float
    ) -> float | None:
        """Seconds to wait before the next try, which is paid for; ``None`` where there is none."""
        wait = wait_before_retry(
            self._retry,
            error,
            calls,
            attempts=attempts,
            left=left,
            budget=self._budget.left(now),
            jitter=random(),
        )
        if wait is not None and isinstance(error, Throttled):
            is_gated = all(call.lane == "calls" for call in calls)
            return 0.0 if is_gated else wait  # the gate is waited at
        if wait is not None:
            self._budget.spend()
        return wait


def _tell_effort(error: IopError, tries: int, seconds: float) -> None:
    if tries > 1:
        error.tries, error.tried_for = tries, seconds
