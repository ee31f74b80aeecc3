"""What a person sees of a demonstration: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text


class Board:
    """Keeps the state of every seller and the checks made so far, and shows them."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # Where somebody watches, a line that is wrapped softly would confuse the live table.
        console.soft_wrap = not console.is_terminal
        self._states: dict[str, str] = {}
        self._calls: Counter[str] = Counter()
        self._checks: list[tuple[bool, str]] = []
        self._live = Live(self, console=console, refresh_per_second=12, transient=True)

    @property
    def held(self) -> bool:
        """Whether every check so far did."""
        return all(held for held, _ in self._checks)

    def say(self, text: str) -> None:
        """A line of its own, above the table."""
        self._console.print(Text(text))

    def seller(self, seller: str, state: str, *, calls: int = 0) -> None:
        """A seller is in this state now, after so many further calls."""
        self._states[seller] = state
        self._calls[seller] += calls

    def check(self, *, held: bool, what: str) -> None:
        """Whether something that was promised held."""
        self._checks.append((held, what))
        mark = Text("ok   ", "green") if held else Text("FAIL ", "bold red")
        self._console.print(mark.append(what, "default"))

    def __rich__(self) -> RenderableType:
        table = Table("seller", "state", "calls", title="sellers")
        for seller, state in self._states.items():
            table.add_row(seller, state, str(self._calls[seller]))
        return Group(table) if self._states else Text()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        if exc is None:
            verdict = "all of it held" if self.held else "something did not hold"
            calls = self._calls.total()
            self.say(f"\n{len(self._states)} sellers, {calls} calls: {verdict}")
