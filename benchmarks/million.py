"""A million sellers in each store that hosts share: filled, claimed from, read, imported, surveyed.

    python benchmarks/million.py [--quick] [--picture SVG]

It is a drill of the tests that does the work and holds the claims to the same number of round trips
(``tests/stores/test_million.py``); half an hour and some gigabytes for all stores. ``--quick`` does
it with ten thousand. A store whose server does not listen is left out.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import charts
from _report import print_setting, print_table
from shared_stores import STORES

ROOT = Path(__file__).parents[1]
TESTS = {False: "test_a_million_sellers", True: "test_a_claim_costs_the_same_however_many_are_due"}
FIGURES = {
    "filled, a second": r"^filled with .*: ([\d,]+) a second",
    "claim of 20, few due, ms": r"^claim of 20, [\d,]+ due: ([\d.]+) ms",
    "many due, ms": r"^claim of 20, .*; [\d,]+ due: ([\d.]+) ms",
    "`records()`, a second": r"^records\(\): ([\d,]+)",
    "`import_many()`, new": r"^import_many\(\) of new sellers: ([\d,]+)",
    "known": r"^import_many\(\) of known ones: ([\d,]+)",
    "`statuses()`, a second": r"^statuses\(\): ([\d,]+)",
    "memory, MB": r"^memory of this process: ([\d,]+)",
}
RATES = ("filled, a second", "`records()`, a second", "`import_many()`, new")


def run(*, is_quick: bool) -> str:
    """What the drill says. Its failure is a failure of this."""
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-m", "drill", "-p", "no:cacheprovider"),
        f"tests/stores/test_million.py::{TESTS[is_quick]}",
    ]
    environment = {**os.environ, "IOP_ASYNC_MILLION": "1"}
    ended = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if ended.returncode:
        sys.exit(ended.stdout)
    return ended.stdout


def read(text: str) -> dict[str, dict[str, str]]:
    """The figures by store, out of what the drill printed."""
    parts = re.split(r"^tests/.*\[(\w+)\].*:$", text, flags=re.MULTILINE)
    return {
        STORES[store].title: {
            figure: match[1]
            for figure, pattern in FIGURES.items()
            if (match := re.search(pattern, lines, re.MULTILINE))
        }
        for store, lines in zip(parts[1::2], parts[2::2], strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ten thousand in each")
    parser.add_argument("--picture", type=Path, help="draw an SVG")
    options = parser.parse_args()
    print_setting("iop-async", "sqlalchemy", "asyncpg", "aiomysql", "redis")
    found = read(run(is_quick=options.quick))
    rows = [[store, *(each.get(name, "") for name in FIGURES)] for store, each in found.items()]
    print_table(["", *FIGURES], rows)
    if options.picture:
        groups = {
            figure.replace("`", ""): {
                store: [float(each[figure].replace(",", ""))]
                for store, each in found.items()
                if figure in each
            }
            for figure in RATES
        }
        options.picture.write_text(charts.bars(groups))


if __name__ == "__main__":
    main()
