"""What a Prometheus reads: few labels, each of few values, and no secret in any."""

from __future__ import annotations

from math import nan
from typing import Final, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from ... import __version__, _exceptions
from ...hooks import Response
from ...tokens import EventKind, Health

_HELD_UP_BY: Final = ("ban", "outage", "incident", "app")
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_ERRORS: Final = frozenset(
    name for name in vars(_exceptions) if isinstance(getattr(_exceptions, name), type)
)


class Metrics:
    """The metrics of one keeper."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("iop_async", "The library.", registry=registry).info({"version": __version__})
        self._events = Counter(
            "iop_async_events", "What happened to grants.", ["kind"], registry=registry
        )
        for kind in get_args(EventKind):
            self._events.labels(kind)
        self._requests = Histogram(
            "iop_async_refresh_duration_seconds",
            "Requests that presented a refresh token, by what came of them: success, or the class "
            "of the error.",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._requests.labels("success")
        self._missed = self._gauge("events_missed", "Events that came too fast to be counted.")
        self._up = self._gauge("up", "Whether the keeper runs: entered, and not draining.")
        self._healthy = self._gauge("healthy", "Whether nobody need look at anything.")
        self._store = self._gauge("store_up", "Whether the store could be read.")
        self._keeper = self._gauge("keeper_up", "Whether the keeper has seen the store lately.")
        self._unpersisted = self._gauge(
            "unpersisted", "Grants whose newest pair the store does not have yet."
        )
        self._in_memory = self._gauge(
            "in_memory_only", "Grants whose newest pair ends with this process."
        )
        self._refreshing = self._gauge("refreshing", "Refreshes under way.")
        self._overdue = self._gauge("overdue_seconds", "How long a refresh has been due.")
        self._death = self._gauge(
            "nearest_death_seconds",
            "Time until the first access token ends of those that can be refreshed; below 0 after.",
        )
        self._death.set(nan)
        self._held_up = self._gauge("held_up", "Whether refreshes wait, and for what.", "reason")
        self._sellers = self._gauge("sellers", "Grants by state, as counted last.", "state")
        self._unanswered = self._gauge(
            "unanswered", "Grants of which a refresh has no answer yet, as counted last."
        )
        self._failing = self._gauge("failing", "Grants whose last refresh failed, as counted last.")
        self._expired = self._gauge(
            "expired", "Grants that can be refreshed and whose access token is over, as counted."
        )
        self._unreadable = self._gauge(
            "unreadable", "Whether there are records that cannot be read, as counted last."
        )
        self._counted_at = self._gauge(
            "survey_timestamp_seconds", "When all grants were counted last, since 1970."
        )
        self._counted_in = self._gauge(
            "survey_duration_seconds", "How long it took to count all grants."
        )

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"iop_async_{name}", text, labels, registry=self._registry)

    def count(self, kind: EventKind) -> None:
        """One more event."""
        self._events.labels(kind).inc()

    def observe(self, response: Response) -> None:
        """A hook of the client: what became of a request."""
        if response.request.lane != "tokens":
            return
        error = response.error
        outcome = "success" if error is None else error if error in _ERRORS else "other"
        self._requests.labels(outcome).observe(response.seconds)

    def render(self, health: Health | None, *, is_up: bool, missed: int) -> bytes:
        """The exposition; without health only what was counted here is true of now."""
        self._up.set(is_up)
        self._missed.set(missed)
        self._healthy.set(health is not None and health.is_healthy)
        if health is not None:
            self._set(health)
        return generate_latest(self._registry)

    def _set(self, health: Health) -> None:
        self._store.set(not health.store_error)
        self._keeper.set(health.keeper == "running")
        self._unpersisted.set(health.unpersisted)
        self._in_memory.set(health.in_memory_only)
        self._refreshing.set(health.refreshing)
        self._overdue.set(health.overdue)
        death = health.nearest_death
        self._death.set(nan if death is None else (death - health.at).total_seconds())
        for reason in _HELD_UP_BY:
            self._held_up.labels(reason).set(health.held_up_by == reason)
        survey = health.survey
        if survey is not None:
            for state, count in survey.by_state.items():
                self._sellers.labels(state).set(count)
            self._unanswered.set(survey.unanswered)
            self._failing.set(survey.failing)
            self._expired.set(survey.expired)
            self._unreadable.set(bool(survey.unreadable))
            self._counted_at.set(survey.at.timestamp())
            self._counted_in.set(survey.seconds)
