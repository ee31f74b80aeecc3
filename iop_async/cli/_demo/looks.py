"""How the states of sellers look: a cell for each seller, and a count for each state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from attrs import frozen
from rich.columns import Columns
from rich.text import Text


@frozen
class Look:
    """A sign that is told from the others without colour too, its colour, and words."""

    sign: str
    style: str
    words: str


LOOKS: Final[Mapping[str, Look]] = {
    "reauthorize": Look("x", "bold red", "lost, and reported"),
    "ambiguous": Look("?", "bold magenta", "ambiguous"),
    "unpersisted": Look("!", "bold red", "unpersisted"),
    "refreshing": Look("\u25cf", "bold cyan", "refreshing"),
    "waiting": Look("\u25c7", "blue", "waiting for the gateway"),
    "due": Look("\u25a1", "yellow", "due"),
    "asleep": Look("\u00b7", "bright_black", "kept by nobody"),
    "fresh": Look("\u25a0", "green", "fresh"),
    "asked": Look("\u25a1", "yellow", "on the consent page"),
    "approved": Look("\u25cf", "cyan", "approved"),
    "authorized": Look("\u25a0", "blue", "authorized"),
    "reading": Look("\u25a0", "cyan", "reading orders"),
    "uploaded": Look("\u25a0", "magenta", "uploaded a picture"),
    "refreshed": Look("\u25a0", "green", "refreshed"),
}
"""The state that asks most for attention first: it stands for a cell of several sellers."""

_ORDER: Final = {state: place for place, state in enumerate(LOOKS)}


def cells(states: Sequence[str], *, width: int, rows: int) -> Text:
    """A cell for each seller; where they do not fit, each cell stands for several."""
    across = max(width // 2, 1)
    each = -(-len(states) // (across * rows)) or 1
    shown = [
        min(states[start : start + each], key=_ORDER.__getitem__)
        for start in range(0, len(states), each)
    ]
    text = Text()
    for number, state in enumerate(shown, 1):
        text.append(LOOKS[state].sign, LOOKS[state].style)
        text.append(" " if number % across else "\n")
    text.rstrip()
    return text


def counts(states: Collection[str]) -> Columns:
    """How many sellers are in each state, with its sign."""
    shown = [
        Text.assemble((look.sign, look.style), f" {look.words} {number}")
        for look, number in _counted(states)
    ]
    return Columns(shown, padding=(0, 2))


def in_words(states: Collection[str]) -> str:
    """The same without signs."""
    return ", ".join(f"{look.words} {number}" for look, number in _counted(states))


def _counted(states: Collection[str]) -> Iterator[tuple[Look, int]]:
    """Those in no trouble first."""
    found = Counter(states)
    for state in reversed([*LOOKS]):
        if found[state]:
            yield LOOKS[state], found[state]
