"""The ``iop-async`` command: a local gateway, single calls, a demonstration."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; exit with a message where an extra is missing."""
    try:
        from ._commands import commands
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich", "starlette", "uvicorn", "python_multipart"):
            raise
        sys.exit(
            f"iop-async: {error.name} is missing; install the extra: pip install iop-async[cli]"
        )
    commands(prog_name="iop-async")
