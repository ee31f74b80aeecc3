"""Instructions that a signed call costs the client, counted by valgrind and not by a clock.

A busy machine counts like an idle one, so that two commits can be compared by a percent: name the
interpreters of two environments. What does not belong to a call is taken off by counting twice. ::

    python benchmarks/instructions.py .venv/bin/python ../before/.venv/bin/python
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import iop_async as iop

IN_FLIGHT = (1, 20)
FEW, MANY = 200, 700
TOKEN = "5000" + "0123456789abcdef" * 3
PARAMS = {"item_id": 652874751412, "fields": ["title", "price", "skus"], "locale": "zh_CN"}


async def call(port: int, calls: int, in_flight: int) -> None:
    """Make so many calls, so many of them at a time."""
    left = calls

    async def work(seller: iop.protocols.Caller) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await seller.call("/product/get", PARAMS)

    gateway = iop.gateways.Iop(f"http://127.0.0.1:{port}")
    async with iop.Client(iop.App("12345678", "helloworld"), gateway) as client:
        seller = client.as_seller(TOKEN)
        await asyncio.gather(*[work(seller) for _ in range(in_flight)])


def count(python: str, port: int, calls: int, in_flight: int) -> int:
    """Instructions of a process that makes so many calls."""
    valgrind = [
        "valgrind",
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
    ]
    numbers = [str(port), str(calls), str(in_flight)]
    ended = subprocess.run(
        [*valgrind, python, __file__, "--client", *numbers],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"I +refs: +([\d,]+)", ended.stderr)
    assert found is not None
    return int(found[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--client", nargs=3, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        asyncio.run(call(*options.client))
        return
    command = [sys.executable, str(Path(__file__).with_name("calls.py")), "--gateway"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as gateway:
        assert gateway.stdout is not None
        port = int(gateway.stdout.readline())
        try:
            for in_flight in IN_FLIGHT:
                first = 0.0
                for python in options.pythons:
                    few, many = (count(python, port, each, in_flight) for each in (FEW, MANY))
                    each = (many - few) / (MANY - FEW)
                    first = first or each
                    print(f"{in_flight:>3} in flight: {each:12,.0f}  x{each / first:.3f}  {python}")
        finally:
            gateway.kill()


if __name__ == "__main__":
    main()
