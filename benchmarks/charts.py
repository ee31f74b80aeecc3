"""Charts as SVG: lines in panels that share their horizontal axis and names, and bars in groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TypeAlias

Line: TypeAlias = Mapping[int, Sequence[float]]
"""The measurements at each position of the horizontal axis."""

Scale: TypeAlias = tuple[Sequence[float], Callable[[float], float]]
"""The values to mark, and the height of any."""

COLOURS = (
    *("#2f81f7", "#2da44e", "#d4762c", "#c4559b", "#8a63d2"),
    *("#1a9ba1", "#b08800", "#d9484e", "#7d8590", "#6b8e23"),
)
"""Of a middle brightness, to be seen on white and on black."""

GREY = "#808890"
STYLE = f"text{{font:13px system-ui,sans-serif;fill:{GREY}}}.head{{font-size:15px;font-weight:600}}"
WIDTH, HEIGHT, LEFT, APART, INSET = 300, 220, 56, 384, 18
COLUMNS, ROW, KEYS = 2, 324, 3
"""Panels beside each other, the height that a row of them takes, and names beside each other."""
BARS, BAR = 210, 400
"""Where bars begin, and how long the longest is."""


def draw(
    panels: Mapping[str, Mapping[str, Line]], axis: str, *, is_logarithmic: bool = False
) -> str:
    """The medians of each panel's lines; a thin upright line spans what was measured."""
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    parts = []
    for number, (name, colour) in enumerate(colours.items()):
        x, y = LEFT + 230 * (number % KEYS), 20 + 22 * (number // KEYS)
        parts.append(f'<path d="M{x} {y}h24" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 32}" y="{y + 4.5}">{name}</text>')
    top = 54 + 22 * math.ceil(len(names) / KEYS)
    everywhere = [value for lines in panels.values() for value in _measured(lines)]
    scale = _logarithmic(everywhere) if is_logarithmic else None  # one for all: they are multiples
    for number, (title, lines) in enumerate(panels.items()):
        place = f"{LEFT + APART * (number % COLUMNS)} {top + ROW * (number // COLUMNS)}"
        panel = "\n".join(_panel(title, lines, axis, colours, scale or _linear(_measured(lines))))
        parts.append(f'<g transform="translate({place})">\n{panel}\n</g>')
    across = min(len(panels), COLUMNS)
    down = math.ceil(len(panels) / COLUMNS)
    return _svg(
        parts, LEFT + APART * (across - 1) + WIDTH + 20, top + ROW * (down - 1) + HEIGHT + 52
    )


def bars(
    groups: Mapping[str, Mapping[str, Sequence[float]]], *, limit: float = 0.0, named: str = "limit"
) -> str:
    """A bar for each median, over it what was measured; a broken upright line at a limit.

    Each group has a scale of its own, unless there is a limit to which all are held.
    """
    most = max(limit, *(max(values) for found in groups.values() for values in found.values()))
    parts, y = [], 0
    for colour, (title, found) in zip(COLOURS, groups.items(), strict=False):
        y += 32
        parts.append(f'<text class="head" x="0" y="{y}">{title}</text>')
        begins = y + 8
        scale = BAR / (most if limit else max(max(values) for values in found.values()))
        for name, values in found.items():
            y += 28
            parts += _bar(name, values, y, scale, colour)
        if limit:
            x = round(BARS + scale * limit, 1)
            parts.append(
                f'<path d="M{x} {begins}V{y + 8}" stroke="{GREY}" stroke-dasharray="4 3"/>'
            )
            y += 26
            parts.append(f'<text x="{x}" y="{y}" text-anchor="middle">{named} {limit:g}</text>')
        y += 10
    return _svg(parts, 700, y + 4)


def _bar(name: str, values: Sequence[float], y: int, scale: float, colour: str) -> Iterator[str]:
    end, least, most = (
        round(BARS + scale * at, 1) for at in (median(values), min(values), max(values))
    )
    yield f'<text x="{BARS - 12}" y="{y}" text-anchor="end">{name}</text>'
    yield f'<path d="M{BARS} {y - 13}H{end}v16H{BARS}z" fill="{colour}"/>'
    yield f'<path d="M{least} {y - 5}H{most}" stroke="{GREY}" stroke-width="2"/>'
    text = f"{median(values):,.2f}" if median(values) < 100 else f"{median(values):,.0f}"
    yield f'<text x="690" y="{y}" text-anchor="end">{text}</text>'


def _svg(parts: Sequence[str], width: int, height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" fill="none">'
    return "\n".join((head, f"<style>{STYLE}</style>", *parts, "</svg>\n"))


def _panel(
    title: str,
    lines: Mapping[str, Line],
    axis: str,
    colours: Mapping[str, str],
    scale: Scale,
) -> Iterator[str]:
    ticks, up = scale
    positions = sorted({position for line in lines.values() for position in line})
    apart = (WIDTH - 2 * INSET) // max(len(positions) - 1, 1)
    across = {position: INSET + apart * n for n, position in enumerate(positions)}
    yield f'<text class="head" x="0" y="-18">{title}</text>'
    for value in ticks:
        yield f'<path d="M0 {up(value)}h{WIDTH}" stroke="{GREY}" stroke-opacity=".3"/>'
        yield f'<text x="-10" y="{up(value) + 4.5}" text-anchor="end">{value:,g}</text>'
    for position, x in across.items():
        yield f'<text x="{x}" y="{HEIGHT + 21}" text-anchor="middle">{position:,}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT + 42}" text-anchor="middle">{axis}</text>'
    beside = min(5, 24 / len(lines))  # or one would hide the spread of another
    for number, (name, line) in enumerate(lines.items()):
        aside = round(beside * (number - (len(lines) - 1) / 2), 1)
        points = " ".join(f"{across[at]},{up(median(values))}" for at, values in line.items())
        yield f'<g transform="translate({aside})" stroke="{colours[name]}">'
        yield f'<polyline points="{points}" stroke-width="2.5"/>'
        for position, values in line.items():
            x, y = across[position], up(median(values))
            yield f'<path d="M{x} {up(min(values))}V{up(max(values))}" stroke-opacity=".7"/>'
            yield f'<circle cx="{x}" cy="{y}" r="3" fill="{colours[name]}"/>'
        yield "</g>"


def _measured(lines: Mapping[str, Line]) -> list[float]:
    return [value for line in lines.values() for values in line.values() for value in values]


def _linear(measured: Sequence[float]) -> Scale:
    step = _step(max(measured))
    top = step * math.ceil(max(measured) / step)
    return range(0, top + 1, step), lambda value: round(HEIGHT * (1 - value / top), 1)


def _logarithmic(measured: Sequence[float]) -> Scale:
    marks = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    low = max(mark for mark in marks if mark <= min(measured))
    high = min(mark for mark in marks if mark >= max(measured))
    span = math.log(high / low) or 1.0

    def up(value: float) -> float:
        return round(HEIGHT * (1 - math.log(value / low) / span), 1)

    return [mark for mark in marks if low <= mark <= high], up


def _step(most: float) -> int:
    """The smallest round number of which at most five make ``most``."""
    tens = (int(10**n) for n in range(12))
    return next(n for ten in tens for n in (ten, 2 * ten, 5 * ten) if n * 5 >= most)
