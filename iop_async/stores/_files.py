"""What the standard library leaves out about files that must be private and durable."""

from __future__ import annotations

import os
from pathlib import Path


def create_private(path: Path) -> None:
    """An empty file that only this user can read, whatever the umask.

    Raises ``FileExistsError`` where there is one already.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        if hasattr(os, "fchmod"):
            os.fchmod(descriptor, 0o600)  # a umask may have taken the owner's rights too
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Windows knows no such thing, and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
