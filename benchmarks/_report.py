"""How all benchmarks say what they found: where it was, tables in Markdown, and verdicts."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from statistics import median


def print_setting(*libraries: str) -> None:
    """The day, the machine and how busy it is, and the versions of what is installed."""
    parts = [datetime.now(UTC).date().isoformat(), f"Python {platform.python_version()}"]
    parts.append(f"{os.cpu_count()} cores")
    if hasattr(os, "getloadavg"):
        parts.append(f"load {os.getloadavg()[0]:.1f} at the start")
    print(", ".join(parts + [text for name in libraries if (text := _version(name))]) + "\n")


def _version(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return ""


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """The median, and between what they lie."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:{form}}"
    return f"{median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def print_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> None:
    """In Markdown, and in columns for who reads it in a terminal."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print("\n".join(lines) + "\n", flush=True)


def judge(what: str, values: Sequence[float], relation: str, bound: float) -> bool:
    """A line that begins with PASS or FAIL: the median against what is promised."""
    value = median(values)
    holds = value <= bound if relation == "<=" else value >= bound
    print(
        f"{'PASS' if holds else 'FAIL'}  {what}: {spread(values)} ({relation} {bound:g})",
        flush=True,
    )
    return holds
