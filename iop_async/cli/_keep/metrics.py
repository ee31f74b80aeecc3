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

_GAUGES: Final = {
    "events_missed": "Events that came too fast to be counted.",
    "up": "Whether the keeper runs: entered, and not draining.",
    "healthy": "Whether nobody need look at anything.",
    "store_up": "Whether the store could be read.",
    "keeper_up": "Whether the keeper has seen the store lately.",
    "unpersisted": "Grants whose newest pair the store does not have yet.",
    "in_memory_only": "Grants whose newest pair ends with this process.",
    "refreshing": "Refreshes under way.",
    "overdue_seconds": "How long a refresh has been due.",
    "nearest_death_seconds": "Time until the first access token ends of those that can be "
    "refreshed; below 0 after.",
    "held_up": "Whether refreshes wait, and for what.",
    "sellers": "Grants by state, as counted last.",
    "unanswered": "Grants of which a refresh has no answer yet, as counted last.",
    "failing": "Grants whose last refresh failed, as counted last.",
    "expired": "Grants that can be refreshed and whose access token is over, as counted.",
    "unreadable": "Whether there are records that cannot be read, as counted last.",
    "survey_timestamp_seconds": "When all grants were counted last, since 1970.",
    "survey_duration_seconds": "How long it took to count all grants.",
}
_LABELS: Final = {"held_up": ["reason"], "sellers": ["state"]}


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
        self._gauges = {
            name: Gauge(f"iop_async_{name}", text, _LABELS.get(name, ()), registry=registry)
            for name, text in _GAUGES.items()
        }
        self._gauges["nearest_death_seconds"].set(nan)

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
        is_healthy = health is not None and health.is_healthy
        values: dict[str, float] = {"up": is_up, "events_missed": missed, "healthy": is_healthy}
        if health is not None:
            values |= _values(health)
            for reason in _HELD_UP_BY:
                self._gauges["held_up"].labels(reason).set(health.held_up_by == reason)
            for state, count in health.survey.by_state.items() if health.survey else ():
                self._gauges["sellers"].labels(state).set(count)
        for name, value in values.items():
            self._gauges[name].set(value)
        return generate_latest(self._registry)


def _values(health: Health) -> dict[str, float]:
    death, survey = health.nearest_death, health.survey
    values = {
        "store_up": not health.store_error,
        "keeper_up": health.keeper == "running",
        "unpersisted": health.unpersisted,
        "in_memory_only": health.in_memory_only,
        "refreshing": health.refreshing,
        "overdue_seconds": health.overdue,
        "nearest_death_seconds": nan if death is None else (death - health.at).total_seconds(),
    }
    if survey is not None:
        values |= {
            "unanswered": survey.unanswered,
            "failing": survey.failing,
            "expired": survey.expired,
            "unreadable": bool(survey.unreadable),
            "survey_timestamp_seconds": survey.at.timestamp(),
            "survey_duration_seconds": survey.seconds,
        }
    return values
