"""Asyncio client for Alibaba's open platforms: signed calls, tokens, a local gateway.

A :class:`Client` calls a gateway (:mod:`~iop_async.gateways`) for an :class:`App`;
:mod:`~iop_async.auth` trades codes and refresh tokens for a :class:`Token`;
:mod:`~iop_async.oauth` sends sellers to the consent page and reads what comes back.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import gateways, oauth, protocols, signers
from ._client import Client
from ._exceptions import (
    ApiError,
    AuthError,
    ClockError,
    IopError,
    PermissionDenied,
    ProtocolError,
    ReauthorizationRequired,
    RefreshAmbiguous,
    ServiceError,
    SignatureError,
    StaleRecord,
    StoreError,
    Throttled,
    TokenError,
    TransportError,
    TransportTimeout,
)
from ._models import (
    App,
    Call,
    Failure,
    File,
    HttpRequest,
    HttpResponse,
    Reply,
    Seller,
    Token,
)
from ._refresh import Freshness, RefreshPolicy
from ._transport import HttpxTransport, Timeouts
from .endpoints import auth, top
from .protocols import BatchGateway, Caller, Gateway, Signer, TokenStore, Transport

if TYPE_CHECKING:
    from . import stores, tokens
    from .tokens import TokenManager

    __version__: str

__all__ = [
    "ApiError",
    "App",
    "AuthError",
    "BatchGateway",
    "Call",
    "Caller",
    "Client",
    "ClockError",
    "Failure",
    "File",
    "Freshness",
    "Gateway",
    "HttpRequest",
    "HttpResponse",
    "HttpxTransport",
    "IopError",
    "PermissionDenied",
    "ProtocolError",
    "ReauthorizationRequired",
    "RefreshAmbiguous",
    "RefreshPolicy",
    "Reply",
    "Seller",
    "ServiceError",
    "SignatureError",
    "Signer",
    "StaleRecord",
    "StoreError",
    "Throttled",
    "Timeouts",
    "Token",
    "TokenError",
    "TokenManager",
    "TokenStore",
    "Transport",
    "TransportError",
    "TransportTimeout",
    "__version__",
    "auth",
    "gateways",
    "oauth",
    "protocols",
    "signers",
    "stores",
    "tokens",
    "top",
]


def __getattr__(name: str) -> Any:
    """What is costly to import is imported where it is used first."""
    if name in ("stores", "tokens"):
        return import_module(f".{name}", __name__)
    if name == "TokenManager":
        return import_module(".tokens", __name__).TokenManager
    if name == "__version__":
        return import_module("importlib.metadata").version("iop-async")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
