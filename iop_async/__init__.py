"""Asyncio client for Alibaba's open platforms: signed calls, tokens, a local gateway.

A :class:`Client` calls a gateway (:mod:`~iop_async.gateways`) for an :class:`App`;
:mod:`~iop_async.auth` trades codes and refresh tokens for a :class:`Token`;
:mod:`~iop_async.oauth` sends sellers to the consent page and reads what comes back;
:mod:`~iop_async.webhooks` reads what a platform sends by itself.

Every name has an example. What they take for granted: an ``app``, a ``gateway``, an open
``client``, a ``token``, a ``seller`` with it, and a running manager ``tokens`` over a ``store``::

    import iop_async as iop

    async with iop.Client(app, gateway) as client:
        reply = await client.as_seller(token).call("/orders/get", {"limit": 10})
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import dates, gateways, hooks, oauth, paging, protocols, signers, webhooks
from ._client import Client
from ._endpoint import Endpoint
from ._exceptions import (
    ApiError,
    AuthError,
    BusinessFailure,
    ClockError,
    InvalidAnswer,
    IopError,
    NotPersisted,
    PermissionDenied,
    ProtocolError,
    ReauthorizationRequired,
    RefreshAmbiguous,
    ServiceError,
    SignatureError,
    SigningFailed,
    StaleRecord,
    StoreError,
    Throttled,
    TokenError,
    TransportError,
    TransportTimeout,
    UnknownSeller,
    WebhookError,
    WebhookMessageError,
    WebhookSignatureError,
)
from ._models import App, Call, Failure, Reply, Seller, Token
from ._refresh import Freshness, RefreshPolicy
from ._transport import HttpxTransport, Timeouts
from ._wire import Downloaded, File, HttpRequest, HttpResponse
from .calling import Limits, Retry
from .endpoints import auth, top
from .paging import pages
from .protocols import BatchGateway, Caller, Gateway, Signer, TokenStore, Transport

if TYPE_CHECKING:
    from . import stores, tokens
    from ._fast.transport import FastTransport
    from .tokens import TokenManager

    __version__: str

__all__ = [
    "ApiError",
    "App",
    "AuthError",
    "BatchGateway",
    "BusinessFailure",
    "Call",
    "Caller",
    "Client",
    "ClockError",
    "Downloaded",
    "Endpoint",
    "Failure",
    "FastTransport",
    "File",
    "Freshness",
    "Gateway",
    "HttpRequest",
    "HttpResponse",
    "HttpxTransport",
    "InvalidAnswer",
    "IopError",
    "Limits",
    "NotPersisted",
    "PermissionDenied",
    "ProtocolError",
    "ReauthorizationRequired",
    "RefreshAmbiguous",
    "RefreshPolicy",
    "Reply",
    "Retry",
    "Seller",
    "ServiceError",
    "SignatureError",
    "Signer",
    "SigningFailed",
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
    "UnknownSeller",
    "WebhookError",
    "WebhookMessageError",
    "WebhookSignatureError",
    "__version__",
    "auth",
    "dates",
    "gateways",
    "hooks",
    "oauth",
    "pages",
    "paging",
    "protocols",
    "signers",
    "stores",
    "tokens",
    "top",
    "webhooks",
]


def __getattr__(name: str) -> Any:
    """What is costly to import is imported where it is used first."""
    if name in ("stores", "tokens"):
        return import_module(f".{name}", __name__)
    if name == "TokenManager":
        return import_module(".tokens", __name__).TokenManager
    if name == "FastTransport":
        return import_module("._fast.transport", __name__).FastTransport
    if name == "__version__":
        return import_module("importlib.metadata").version("iop-async")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
