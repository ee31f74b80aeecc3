"""How far long work is, on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ._output import console, fit_for_terminals, note, wants_json, warn

_COUNT: Final = TextColumn("{task.completed:,.0f}")


class Bar:
    """A bar on standard error; nothing where that is no terminal, or a program reads.

    Args:
        what: is done.
        total: of how many; ``None`` where nobody knows.

    Attributes:
        done: so many.
    """

    def __init__(self, what: str, *, total: int | None = None) -> None:
        self.done = 0
        self._progress: Progress | None = None
        if sys.stderr.isatty() and not wants_json():
            counted = [MofNCompleteColumn(), TimeRemainingColumn()] if total else [_COUNT]
            columns = (TextColumn("{task.description}"), BarColumn(), *counted)
            self._progress = Progress(*columns, console=console(stderr=True), transient=True)
            self._task = self._progress.add_task(what, total=total)

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        if self._progress is not None:
            self._progress.update(self._task, completed=self.done)

    def say(self, text: str) -> None:
        """A line above the bar; a program is told of it as a warning."""
        if wants_json():
            warn(text)
        elif self._progress is not None:
            self._progress.console.print(Text(fit_for_terminals(text)), soft_wrap=True)
        else:
            note(text)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
