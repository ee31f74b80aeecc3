"""How far an import is, and what became of its tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

from ._reports import ImportOutcome, ImportProgress, ImportReport, ImportVerdict

OnProgress: TypeAlias = Callable[[ImportProgress], object]

_MAX_DETAILS: Final = 1_000


class ImportTally:
    """Counts outcomes, and tells of each.

    Args:
        total: the outcomes there will be, where that is known.
        on_progress: told after each.
        on_error: told of errors in ``on_progress``.

    Attributes:
        unstored: tokens that the store did not take.
    """

    def __init__(
        self,
        total: int | None,
        on_progress: OnProgress | None,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._total = total
        self._on_progress = on_progress
        self._on_error = on_error
        self._counts: Counter[str] = Counter()
        self._details: list[ImportOutcome] = []
        self._waiting = 0
        self.unstored = 0

    def count(
        self,
        position: int,
        seller_id: str | None,
        verdict: ImportVerdict,
        reason: str,
        *,
        is_stored: bool = True,
    ) -> None:
        """Take note of an outcome."""
        outcome = ImportOutcome(position, seller_id, verdict, reason)
        self._counts[verdict] += 1
        self.unstored += not is_stored
        self._waiting += not is_stored and verdict != "failed"
        if verdict in ("skipped", "failed") and len(self._details) < _MAX_DETAILS:
            self._details.append(outcome)
        if self._on_progress is None:
            return
        try:
            self._on_progress(ImportProgress(self._counts.total(), self._total, outcome))
        except Exception as error:  # noqa: BLE001 - a listener's error is not an import's
            self._on_error(error)

    def report(self) -> ImportReport:
        """All of it."""
        return ImportReport(**self._counts, waiting=self._waiting, details=tuple(self._details))
