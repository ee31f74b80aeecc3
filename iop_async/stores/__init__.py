"""Stores of records: in a file, in a database, in memory; and the journal for their failures.

Every store keeps the promises of :class:`~iop_async.protocols.TokenStore`, and so can your own:
:class:`iop_async.testing.StoreConformance` tells whether it does.

Example::

    store = iop.stores.from_url(os.environ["IOP_STORE"])
    async with iop.TokenManager(client, store) as tokens:
        await tokens.import_token(token)
    await store.aclose()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .._records import Record
from ..protocols import StoreReport
from ._journal import SpillJournal
from ._memory import MemoryStore
from ._sqlite import SQLiteStore
from ._urls import ConfiguredStore, from_url

if TYPE_CHECKING:
    from ._encrypted import EncryptedStore
    from ._redis import RedisStore
    from ._sqlalchemy import SQLAlchemyStore

__all__ = [
    "ConfiguredStore",
    "EncryptedStore",
    "MemoryStore",
    "Record",
    "RedisStore",
    "SQLAlchemyStore",
    "SQLiteStore",
    "SpillJournal",
    "StoreReport",
    "from_url",
]

_NEEDS_AN_EXTRA: Final = {
    "EncryptedStore": "._encrypted",
    "RedisStore": "._redis",
    "SQLAlchemyStore": "._sqlalchemy",
}


def __getattr__(name: str) -> Any:
    """Import a store that needs an extra when it is used first."""
    if name in _NEEDS_AN_EXTRA:
        return getattr(import_module(_NEEDS_AN_EXTRA[name], __name__), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
