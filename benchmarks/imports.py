"""The cost of ``import iop_async``, as a multiple of ``import httpx``.

Each import runs in a fresh interpreter, in turn, in an environment with nothing but this library
and what it depends on: libraries that happen to be installed change what others import.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import charts
from _report import judge, print_setting, print_table, spread

BOUND = 1.15
TRANSPORT = "import iop_async; iop_async.HttpxTransport()"
STATEMENTS = ("import httpx", "import iop_async", TRANSPORT)
CODE = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def clean_environment(folder: Path) -> str:
    """A virtual environment with this library and its base dependencies; its interpreter."""
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    here = Path(__file__).resolve().parent.parent
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(here)], check=True)
    return python


def seconds(python: str, statement: str) -> float:
    # -I: neither the working directory nor the user's packages get in
    command = [python, "-I", "-c", CODE.format(statement)]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def measure(python: str, rounds: int) -> dict[str, list[float]]:
    for statement in STATEMENTS:  # the first time compiles
        seconds(python, statement)
    results: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(rounds):
        for statement in STATEMENTS:
            results[statement].append(seconds(python, statement))
    return results


def show(results: dict[str, list[float]], picture: Path | None) -> None:
    ratios = {
        statement: [
            mine / httpx for mine, httpx in zip(values, results["import httpx"], strict=True)
        ]
        for statement, values in results.items()
    }
    milliseconds = {
        statement: [value * 1e3 for value in values] for statement, values in results.items()
    }
    rows = [
        [f"`{statement}`", spread(milliseconds[statement], ".0f"), spread(ratios[statement])]
        for statement in results
    ]
    print_table(["", "milliseconds", "times `import httpx`"], rows)
    judge("import iop_async / import httpx", ratios["import iop_async"], "<=", BOUND)
    if picture:
        names = {"import iop_async": "import iop_async", TRANSPORT: "and HttpxTransport()"}
        shown = {names.get(statement, statement): ratios[statement] for statement in results}
        picture.write_text(charts.bars({"times import httpx": shown}, limit=BOUND))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--python", help="an interpreter that has iop_async; default: a new one")
    parser.add_argument("--picture", type=Path, help="draw an SVG")
    options = parser.parse_args()
    print_setting("iop-async")
    if options.python:
        show(measure(options.python, options.rounds), options.picture)
        return
    with tempfile.TemporaryDirectory() as folder:
        show(measure(clean_environment(Path(folder)), options.rounds), options.picture)


if __name__ == "__main__":
    main()
