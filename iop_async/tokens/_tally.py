"""Counts what became of many refreshes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .._exceptions import IopError, ReauthorizationRequired, RefreshAmbiguous
from ._grants import Grant
from ._reports import Outcome, Progress, RefreshReport


class Tally:
    """Collects outcomes, and tells how far they are.

    Args:
        total: how many there will be.
        on_progress: told after each.
        on_error: told what goes wrong in ``on_progress``.
    """

    def __init__(
        self,
        total: int,
        on_progress: Callable[[Progress], object] | None,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._total = total
        self._on_progress = on_progress
        self._on_error = on_error
        self._refreshed: list[str] = []
        self._skipped: dict[str, str] = {}
        self._failed: dict[str, Exception] = {}

    async def count(self, seller: str, work: Awaitable[Grant | object], *, before: int = 0) -> None:
        """Wait for a refresh; one that left the generation as ``before`` counts as skipped."""
        outcome: Outcome = "refreshed"
        try:
            result = await work
            if isinstance(result, Grant) and result.generation <= before:
                outcome = "skipped"
                self._skipped[seller] = result.reason or "nothing to refresh"
            else:
                self._refreshed.append(seller)
        except (ReauthorizationRequired, RefreshAmbiguous) as error:
            outcome = "skipped"
            self._skipped[seller] = error.reason
        except (IopError, OSError) as error:
            outcome = "failed"
            self._failed[seller] = error
        self._tell(seller, outcome)

    def _tell(self, seller: str, outcome: Outcome) -> None:
        if self._on_progress is None:
            return
        done = len(self._refreshed) + len(self._skipped) + len(self._failed)
        try:
            self._on_progress(Progress(done, self._total, seller, outcome))
        except Exception as error:  # noqa: BLE001 - a listener's error is not a refresh's
            self._on_error(error)

    def report(self) -> RefreshReport:
        """All of it."""
        return RefreshReport(tuple(self._refreshed), self._skipped, self._failed)
