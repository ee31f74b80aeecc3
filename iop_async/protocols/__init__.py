"""What a user may plug in: any object of the right shape will do.

Example::

    def is_fit(store: object) -> bool:
        return isinstance(store, iop.protocols.TokenStore)

    assert is_fit(iop.stores.MemoryStore())
"""

from ._calls import (
    AwaitingSigner,
    BatchGateway,
    Caller,
    DownloadTransport,
    Gateway,
    Signer,
    SigningBatchGateway,
    SigningGateway,
    TokenEndpoints,
    TokenGateway,
    Transport,
)
from ._stores import (
    MAX_LEASE_SECONDS,
    BulkTokenStore,
    Checkable,
    Sealer,
    StoreReport,
    TokenStore,
)

__all__ = [
    "MAX_LEASE_SECONDS",
    "AwaitingSigner",
    "BatchGateway",
    "BulkTokenStore",
    "Caller",
    "Checkable",
    "DownloadTransport",
    "Gateway",
    "Sealer",
    "Signer",
    "SigningBatchGateway",
    "SigningGateway",
    "StoreReport",
    "TokenEndpoints",
    "TokenGateway",
    "TokenStore",
    "Transport",
]
