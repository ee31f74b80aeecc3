"""The stores that processes may share: those that the tests list."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from store_kinds import SHARED, STORES, StoreLocation

__all__ = ["SHARED", "STORES", "StoreLocation"]
