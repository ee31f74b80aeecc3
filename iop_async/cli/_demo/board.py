"""What a person sees of a demonstration: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .happenings import Happenings
from .looks import cells, counts, in_words

ANSWERED: Final = "calls answered"

_ROWS: Final = 7
"""Of cells, at most: with all the rest they fit into a terminal of 24 lines."""


class Board:
    """Keeps what is known of the sellers and the checks made so far, and shows it.

    Attributes:
        now: the time that the acts live by, as text; empty where it is that of the machine.
        states: of every seller; see :data:`~.looks.LOOKS`.
        figures: what is counted, in words.
        happenings: what happened last.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        # Where somebody watches, a line that is wrapped softly would confuse the live picture.
        console.soft_wrap = not console.is_terminal
        self.now: Callable[[], str] = str
        self.states: dict[str, str] = {}
        self.figures: Counter[str] = Counter()
        self.happenings = Happenings()
        self._checks: list[bool] = []
        self._step = ("", 0, 1)
        self._live = Live(self, console=console, refresh_per_second=12, transient=True)

    @property
    def held(self) -> bool:
        """Whether every check so far did."""
        return all(self._checks)

    def act(self, title: str) -> None:
        """Another act begins."""
        self._step = ("", 0, 1)
        self.say(f"\n{title}", "bold")

    def say(self, text: str, style: str = "") -> None:
        """A line of its own, above the picture."""
        self._console.print(Text(text, style))

    def seller(self, seller: str, state: str, *, calls: int = 0) -> None:
        """A seller is in this state now, after so many further calls."""
        self.states[seller] = state
        self.figures[ANSWERED] += calls

    def step(self, what: str, done: int, total: int) -> None:
        """So much of what goes on is done."""
        self._step = (what, done, total)

    def reached(self, what: str) -> None:
        """All of it is done: how the sellers are, in a line of its own where nobody watches."""
        self._step = (what, 1, 1)
        if not self._console.is_terminal:
            self.say(f"     {self.now()}  {what}: {in_words(self.states.values())}")

    def check(self, *, held: bool, what: str) -> None:
        """Whether something that was promised held."""
        self._checks.append(held)
        mark = Text("ok   ", "green") if held else Text("FAIL ", "bold red")
        self._console.print(mark.append(what, "default"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.states:
            yield Group(*self._picture(options.max_width))

    def _picture(self, width: int) -> Iterable[RenderableType]:
        what, done, total = self._step
        time = self.now()
        yield Rule(f"simulated time {time}" if time else "", align="left")
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_row(Text(what), ProgressBar(total=total, completed=min(done, total)))
        yield head
        yield Text()
        yield cells([*self.states.values()], width=width, rows=_ROWS)
        yield Text()
        yield counts(self.states.values())
        figures = (f"{number:,} {words}" for words, number in self.figures.items())
        yield Text(", ".join(figures), "bold")
        yield from self.happenings.lines()

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
            calls = self.figures[ANSWERED]
            self.say(f"\n{len(self.states)} sellers, {calls:,} calls: {verdict}")
