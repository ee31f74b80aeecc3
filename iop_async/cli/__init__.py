"""The ``iop-async`` command: a local gateway, single calls, a demonstration."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; says which extra is missing where one is."""
    try:
        from ._commands import commands
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich", "starlette", "uvicorn", "python_multipart"):
            raise
        sys.exit(
            f"iop-async: {error.name} is missing; install the extra: pip install iop-async[cli]"
        )
    commands(prog_name="iop-async")
