"""The display: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from attrs import define, frozen
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

ANSWERED: Final = "calls answered"

_MAX_ROWS: Final = 7
"""Of cells: with all the rest they fit into a terminal of 24 lines."""

_MAX_RECENT: Final = 4


@frozen
class StateStyle:
    """A sign that is told from the others without colour too, its colour, and a caption."""

    sign: str
    style: str
    caption: str


STATE_STYLES: Final[Mapping[str, StateStyle]] = {
    "reauthorize": StateStyle("x", "bold red", "lost, and reported"),
    "ambiguous": StateStyle("?", "bold magenta", "ambiguous"),
    "unpersisted": StateStyle("!", "bold red", "unpersisted"),
    "refreshing": StateStyle("\u25cf", "bold cyan", "refreshing"),
    "waiting": StateStyle("\u25c7", "blue", "waiting for the gateway"),
    "due": StateStyle("\u25a1", "yellow", "due"),
    "asleep": StateStyle("\u00b7", "bright_black", "kept by nobody"),
    "fresh": StateStyle("\u25a0", "green", "fresh"),
    "asked": StateStyle("\u25a1", "yellow", "on the consent page"),
    "approved": StateStyle("\u25cf", "cyan", "approved"),
    "authorized": StateStyle("\u25a0", "blue", "authorized"),
    "reading": StateStyle("\u25a0", "cyan", "reading orders"),
    "uploaded": StateStyle("\u25a0", "magenta", "uploaded a picture"),
    "refreshed": StateStyle("\u25a0", "green", "refreshed"),
}
"""By severity, the most severe first: it stands for a cell of several sellers."""

_SEVERITY: Final = {state: rank for rank, state in enumerate(STATE_STYLES)}


def cells(states: Sequence[str], *, width: int, rows: int) -> Text:
    """A cell for each seller; where they do not fit, each cell stands for several."""
    across = max(width // 2, 1)
    # Rounded up, so that every seller is in a cell.
    each = -(-len(states) // (across * rows)) or 1
    shown = [
        min(states[start : start + each], key=_SEVERITY.__getitem__)
        for start in range(0, len(states), each)
    ]
    text = Text()
    for number, state in enumerate(shown, 1):
        text.append(STATE_STYLES[state].sign, STATE_STYLES[state].style)
        text.append(" " if number % across else "\n")
    text.rstrip()
    return text


def _legend(states: Collection[str]) -> Columns:
    """The number of sellers in each state, with its sign."""
    shown = [
        Text.assemble((style.sign, style.style), f" {style.caption} {number}")
        for style, number in _counted(states)
    ]
    return Columns(shown, padding=(0, 2))


def _summary(states: Collection[str]) -> str:
    """The same without signs."""
    return ", ".join(f"{style.caption} {number}" for style, number in _counted(states))


def _counted(states: Collection[str]) -> Iterator[tuple[StateStyle, int]]:
    """The least severe first."""
    found = Counter(states)
    for state in reversed([*STATE_STYLES]):
        if found[state]:
            yield STATE_STYLES[state], found[state]


@define
class _RecentEvent:
    at: str
    what: str
    seller: str
    reason: str
    others: int = 0

    def line(self) -> Text:
        others = f" and {self.others} more" if self.others else ""
        text = Text.assemble(
            (self.at, "bright_black"), f"  {self.seller}{others}: {self.what}  ", no_wrap=True
        )
        text.append(self.reason, "bright_black")
        text.overflow = "ellipsis"
        return text


class RecentEvents:
    """The latest few kinds of events, one line each, with the latest seller it happened to."""

    def __init__(self) -> None:
        self._latest: deque[_RecentEvent] = deque(maxlen=_MAX_RECENT)

    def add(self, at: str, what: str, seller: str, reason: str) -> None:
        """Count an event with those of its kind."""
        before = next((known for known in self._latest if known.what == what), None)
        if before is None:
            self._latest.append(_RecentEvent(at, what, seller, reason))
            return
        before.others += 1
        before.at, before.seller, before.reason = at, seller, reason

    def lines(self) -> Iterator[Text]:
        """One line per kind."""
        return (event.line() for event in self._latest)


class Board:
    """Shows the states of the sellers and the checks made so far.

    Attributes:
        now: the simulated time as text; empty where time is that of the machine.
        states: of every seller; see :data:`STATE_STYLES`.
        figures: counters by their captions.
        recent: the latest events.
        checks: what was checked, and whether it held.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        # Where somebody watches, a line that is wrapped softly would confuse the live picture.
        console.soft_wrap = not console.is_terminal
        self.now: Callable[[], str] = str
        self.states: dict[str, str] = {}
        self.figures: Counter[str] = Counter()
        self.recent = RecentEvents()
        self.checks: dict[str, bool] = {}
        self._progress = ("", 0, 1)
        # Transient: at the end the picture goes, and the lines above it stay.
        self._live = Live(self, console=console, refresh_per_second=12, transient=True)

    @property
    def held(self) -> bool:
        """``True`` while no check has failed."""
        return all(self.checks.values())

    def section(self, title: str) -> None:
        """Begin a section."""
        self._progress = ("", 0, 1)
        self.say(f"\n{title}", "bold")

    def say(self, text: str, style: str = "") -> None:
        """Print a line of its own, above the picture."""
        self._console.print(Text(text, style))

    def set_state(self, seller: str, state: str, *, calls: int = 0) -> None:
        """Set a seller's state, and count its further ``calls``."""
        self.states[seller] = state
        self.figures[ANSWERED] += calls

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the progress bar."""
        self._progress = (what, done, total)

    def complete(self, what: str) -> None:
        """Fill the progress bar; where nobody watches, print a line with the sellers' states."""
        self._progress = (what, 1, 1)
        if not self._console.is_terminal:
            self.say(f"     {self.now()}  {what}: {_summary(self.states.values())}")

    def check(self, *, held: bool, what: str) -> None:
        """Print the result of a check, and remember it for the verdict."""
        self.checks[what] = held and self.checks.get(what, True)
        mark = Text("ok   ", "green") if held else Text("FAIL ", "bold red")
        self._console.print(mark.append(what, "default"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.states:
            yield Group(*self._picture(options.max_width))

    def _picture(self, width: int) -> Iterable[RenderableType]:
        what, done, total = self._progress
        time = self.now()
        yield Rule(f"simulated time {time}" if time else "", align="left")
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_row(Text(what), ProgressBar(total=total, completed=min(done, total)))
        yield head
        yield Text()
        yield cells([*self.states.values()], width=width, rows=_MAX_ROWS)
        yield Text()
        yield _legend(self.states.values())
        figures = (f"{number:,} {caption}" for caption, number in self.figures.items())
        yield Text(", ".join(figures), "bold")
        yield from self.recent.lines()

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
        # After Ctrl-C or a bug there is no verdict: not all the checks were made.
        if exc is None:
            verdict = "all of it held" if self.held else "something did not hold"
            calls = self.figures[ANSWERED]
            self.say(f"\n{len(self.states)} sellers, {calls:,} calls: {verdict}")
