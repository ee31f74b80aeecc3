"""The ``iop-async`` command: logins, tokens, calls, a keeper; a local gateway, a demonstration."""

from __future__ import annotations

import sys
from typing import Final

_OF_THE_EXTRA: Final = ("click", "rich", "starlette", "uvicorn", "python_multipart")


def main() -> None:
    """Run the command; exit with a message where an extra is missing."""
    try:
        from ._commands import commands

        commands(prog_name="iop-async")  # which imports what is asked for
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _OF_THE_EXTRA:
            raise
        sys.exit(f"iop-async: {name} is missing; install the extra: pip install 'iop-async[cli]'")
