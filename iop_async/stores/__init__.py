"""Where records are kept: in a file, or in memory; and the journal for when that fails.

Every store keeps the promises of :class:`~iop_async.protocols.TokenStore`, and so can your own:
:class:`iop_async.testing.StoreConformance` tells whether it does.
"""

from ._memory import MemoryStore
from ._spill import SpillJournal
from ._sqlite import SQLiteStore
from ._urls import from_url

__all__ = ["MemoryStore", "SQLiteStore", "SpillJournal", "from_url"]
