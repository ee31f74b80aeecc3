"""One SQLite file as a store."""

from ._store import SQLiteStore

__all__ = ["SQLiteStore"]
