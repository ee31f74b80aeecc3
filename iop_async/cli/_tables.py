"""Tables: drawn on a terminal, separated by tabs elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import click
from rich import box
from rich.table import Table
from rich.text import Text

from .._redact import escape_controls
from ._output import console, json_text

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_STEPS: Final = ((86_400, 3_600), (3_600, 60), (60, 1))


def ago(moment: datetime | None, now: datetime, *, none: str = "unknown") -> str:
    """How far a moment is, in the two greatest units: ``in 5 d 3 h``, ``2 min ago``."""
    if moment is None:
        return none
    span = _span(abs(moment - now))
    return f"in {span}" if moment > now else f"{span} ago"


def _span(length: timedelta) -> str:
    """The two greatest units of a length; the lesser is rounded."""
    seconds = length.total_seconds()
    step = next((lesser for unit, lesser in _STEPS if seconds >= unit), 1)
    rest = round(seconds / step) * step
    parts = []
    for name, unit in _UNITS:
        if rest >= unit:
            parts.append(f"{rest // unit} {name}")
            rest %= unit
    return " ".join(parts) or "0 s"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below the names of their columns; nothing where there is no row."""
    if not rows:
        return
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            click.echo("\t".join(_one_line(cell) for cell in row))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*[Text(_one_line(cell)) for cell in row])
    console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one line each; what there is nothing of is left out."""
    width = max(map(len, fields))
    for name, value in fields.items():
        if value in (None, "", [], {}):
            continue
        click.echo(f"{name.replace('_', ' '):{width}}  {_one_line(_in_words(value))}".rstrip())


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json_text(value)


def _one_line(text: str) -> str:
    return escape_controls(text).replace("\t", " ")
