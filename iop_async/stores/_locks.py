"""One process at a time at work on a file, where the platform can tell."""

from __future__ import annotations

import sys
from io import FileIO
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from .._exceptions import StoreError

if sys.platform != "win32":
    import fcntl

_PATIENCE: Final = 10.0
_NAP: Final = 0.005


def lock(file: FileIO, path: Path) -> None:
    """Hold an open file alone, also against other threads that opened it, until :func:`unlock`.

    Raises:
        StoreError: somebody else held it for ten seconds.
    """
    if sys.platform == "win32":
        return
    until = monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= until:
                msg = (
                    f"{path}: another process kept the file locked for {_PATIENCE:.0f} s. Look for "
                    "one that hangs"
                )
                raise StoreError(msg) from None
            sleep(_NAP)
        else:
            return


def unlock(file: FileIO) -> None:
    """Let others have the file: closing would not, where a forked process has it open as well."""
    if sys.platform != "win32":
        fcntl.flock(file.fileno(), fcntl.LOCK_UN)
