"""Line charts as SVG: panels side by side that share their horizontal axis and their names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TypeAlias

Line: TypeAlias = Mapping[int, Sequence[float]]
"""The measurements at each position of the horizontal axis."""

COLOURS = ("#2f81f7", "#2da44e", "#d4762c", "#c4559b")
"""Of a middle brightness, to be seen on white and on black."""

STYLE = "text{font:13px system-ui,sans-serif;fill:#808890}.head{font-size:15px;font-weight:600}"
WIDTH, HEIGHT, TOP, LEFT, APART, INSET = 300, 220, 76, 56, 384, 18


def draw(panels: Mapping[str, Mapping[str, Line]], axis: str) -> str:
    """The medians of each panel's lines; a thin upright line spans what was measured."""
    parts = [f"<style>{STYLE}</style>"]
    for number, name in enumerate(next(iter(panels.values()))):
        x = LEFT + 150 * number
        parts.append(f'<path d="M{x} 20h24" stroke="{COLOURS[number]}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 32}" y="24.5">{name}</text>')
    for number, (title, lines) in enumerate(panels.items()):
        panel = "\n".join(_panel(title, lines, axis))
        parts.append(f'<g transform="translate({LEFT + APART * number} {TOP})">\n{panel}\n</g>')
    size = f"0 0 {LEFT + APART * (len(panels) - 1) + WIDTH + 20} {TOP + HEIGHT + 52}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" fill="none">'
    return "\n".join((head, *parts, "</svg>\n"))


def _panel(title: str, lines: Mapping[str, Line], axis: str) -> Iterator[str]:
    most = max(value for line in lines.values() for values in line.values() for value in values)
    step = _step(most)
    top = step * math.ceil(most / step)
    positions = list(next(iter(lines.values())))
    apart = (WIDTH - 2 * INSET) // (len(positions) - 1)
    across = {position: INSET + apart * n for n, position in enumerate(positions)}

    def up(value: float) -> float:
        return round(HEIGHT * (1 - value / top), 1)

    yield f'<text class="head" x="0" y="-18">{title}</text>'
    for value in range(0, top + 1, step):
        yield f'<path d="M0 {up(value)}h{WIDTH}" stroke="#808890" stroke-opacity=".3"/>'
        yield f'<text x="-10" y="{up(value) + 4.5}" text-anchor="end">{value:,}</text>'
    for position, x in across.items():
        yield f'<text x="{x}" y="{HEIGHT + 21}" text-anchor="middle">{position}</text>'
    yield f'<text x="{WIDTH / 2}" y="{HEIGHT + 42}" text-anchor="middle">{axis}</text>'
    for number, line in enumerate(lines.values()):
        aside = 5 * number - 5 * (len(lines) - 1) / 2  # or one would hide the spread of another
        points = " ".join(f"{x},{up(median(line[position]))}" for position, x in across.items())
        yield f'<g transform="translate({aside})" stroke="{COLOURS[number]}">'
        yield f'<polyline points="{points}" stroke-width="2.5"/>'
        for position, values in line.items():
            x, y = across[position], up(median(values))
            yield f'<path d="M{x} {up(min(values))}V{up(max(values))}" stroke-opacity=".7"/>'
            yield f'<circle cx="{x}" cy="{y}" r="3" fill="{COLOURS[number]}"/>'
        yield "</g>"


def _step(most: float) -> int:
    """The smallest round number of which at most five make ``most``."""
    tens = (int(10**n) for n in range(12))
    return next(n for ten in tens for n in (ten, 2 * ten, 5 * ten) if n * 5 >= most)
