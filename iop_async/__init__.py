"""Asyncio client for Alibaba's open platforms: signed calls, tokens, a local gateway.

A :class:`Client` calls a gateway (:mod:`~iop_async.gateways`) for an :class:`App`;
:mod:`~iop_async.auth` trades codes and refresh tokens for a :class:`Token`;
:mod:`~iop_async.oauth` sends sellers to the consent page and reads what comes back.
"""

from . import gateways, oauth, protocols, signers
from ._client import Client
from ._exceptions import (
    ApiError,
    AuthError,
    ClockError,
    IopError,
    PermissionDenied,
    ProtocolError,
    ServiceError,
    SignatureError,
    Throttled,
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
from ._transport import HttpxTransport, Timeouts
from .endpoints import auth, top
from .protocols import BatchGateway, Caller, Gateway, Signer, Transport

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
    "Gateway",
    "HttpRequest",
    "HttpResponse",
    "HttpxTransport",
    "IopError",
    "PermissionDenied",
    "ProtocolError",
    "Reply",
    "Seller",
    "ServiceError",
    "SignatureError",
    "Signer",
    "Throttled",
    "Timeouts",
    "Token",
    "Transport",
    "TransportError",
    "TransportTimeout",
    "__version__",
    "auth",
    "gateways",
    "oauth",
    "protocols",
    "signers",
    "top",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version

        return version("iop-async")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
