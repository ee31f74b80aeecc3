"""All benchmarks, one after the other, and what they found in ``results.md`` with its pictures.

    python benchmarks/all.py                # a quarter of an hour
    python benchmarks/all.py --quick        # some minutes, to see that all of it runs
    python benchmarks/all.py --million      # also a million sellers in each store: an hour more
    python benchmarks/all.py --only calls tokens

What is not run again keeps its part of ``results.md``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

from attrs import frozen

HERE = Path(__file__).parent


@frozen
class Part:
    """A script, how it is run, and what its part of the results is called."""

    title: str
    full: str = ""
    quick: str = "--quick"
    has_rounds: bool = True
    pictures: tuple[str, ...] = ("",)


PARTS = {
    "calls": Part("A call", pictures=("", "_rates")),
    "semantics": Part("Semantics", quick="", has_rounds=False, pictures=()),
    "tokens": Part("A batch refresh"),
    "imports": Part("The import", quick="--rounds 3"),
    "typed": Part("A type", quick="--rounds 3"),
    "stores": Part("Keeping a grant", full="--large 100000", quick="--large 20000 --rounds 1"),
    "hosts": Part(
        "More processes",
        full="--rounds 1",
        quick="--rounds 1 --records 1000 --claims 400 --refreshes 100",
    ),
    "million": Part("A million sellers", has_rounds=False),
}
SECTION = re.compile(r"^## .*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
VERDICTS = re.compile(r"(?:^(?:PASS|FAIL)  .*\n)+", re.MULTILINE)


def run(name: str, options: argparse.Namespace, folder: Path) -> str:
    """The section of a part: its command, what it printed, its picture."""
    part = PARTS[name]
    given = (part.quick if options.quick else part.full).split()
    if options.rounds and part.has_rounds and not options.quick:
        given = [*given, "--rounds", str(options.rounds)]  # the last one counts
    shown = " ".join(["python", f"benchmarks/{name}.py", *given])
    if part.pictures:
        given += ["--picture", str(folder / f"{name}.svg")]
    began = time.monotonic()
    command = [sys.executable, str(HERE / f"{name}.py"), *given]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(f"{ended.stdout}\n{shown}: {time.monotonic() - began:.0f} s\n", flush=True)
    found = VERDICTS.sub(lambda lines: f"```\n{lines[0]}```\n", ended.stdout).strip()
    if ended.returncode and "FAIL  " not in found:
        sys.exit(f"{shown} ended with {ended.returncode}")
    drawn = [f"![{part.title}, drawn]({name}{suffix}.svg)\n\n" for suffix in part.pictures]
    return f"## {part.title}\n\n`{shown}`\n\n{found}\n\n" + "".join(drawn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of each")
    parser.add_argument("--million", action="store_true", help="also a million sellers")
    parser.add_argument("--rounds", type=int, help="of each script that has rounds")
    parser.add_argument("--only", nargs="*", choices=PARTS, metavar="PART")
    parser.add_argument("--directory", type=Path, default=HERE, help="where the results go")
    options = parser.parse_args()
    results = options.directory / "results.md"
    before = results.read_text() if results.exists() else ""
    sections = {text.splitlines()[0][3:]: text for text in SECTION.findall(before)}
    for name in options.only or [name for name in PARTS if name != "million" or options.million]:
        sections[PARTS[name].title] = run(name, options, options.directory)
        ordered = [sections[part.title] for part in PARTS.values() if part.title in sections]
        results.write_text("# Results\n\n" + HEAD + "".join(ordered).rstrip() + "\n")
    failed = sum(text.count("\nFAIL  ") for text in sections.values())
    print(f"{failed} of the promises in {results.name} are not kept")


HEAD = """Written by `benchmarks/all.py`; [README.md](README.md) says what is measured, and how. A \
figure is a median, and behind it (least-most) of the rounds; a ratio is taken within a round.

"""

if __name__ == "__main__":
    main()
