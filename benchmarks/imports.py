"""The cost of ``import iop_async``, as a multiple of ``import httpx``.

Each import runs in a fresh interpreter, in turn, in an environment with nothing but this library
and what it depends on: libraries that happen to be installed change what others import.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

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


def show(results: dict[str, list[float]]) -> None:
    httpx = statistics.median(results["import httpx"])
    for statement, values in results.items():
        median = statistics.median(values)
        spread = f"({min(values) * 1e3:.0f}-{max(values) * 1e3:.0f})"
        print(f"{statement:<50}{median * 1e3:>6.0f} ms {spread:>10}  x{median / httpx:.2f}")
    ratio = statistics.median(results["import iop_async"]) / httpx
    print(
        f"\n{'PASS' if ratio <= BOUND else 'FAIL'}  import iop_async / import httpx: {ratio:.2f}",
        end="",
    )
    print(f" (<= {BOUND})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--python", help="an interpreter that has iop_async; default: a new one")
    options = parser.parse_args()
    if options.python:
        show(measure(options.python, options.rounds))
        return
    with tempfile.TemporaryDirectory() as folder:
        show(measure(clean_environment(Path(folder)), options.rounds))


if __name__ == "__main__":
    main()
