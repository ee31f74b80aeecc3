"""Everything this library raises on purpose after a call has begun.

    IopError
    ├── TransportError            no complete answer came back
    │   └── TransportTimeout      ... within the time allowed
    ├── SigningFailed             the signer gave no signature, so nothing was sent
    ├── ProtocolError             an answer came back that is no envelope
    │   └── InvalidAnswer         ... whose data is not what a typed endpoint reads
    ├── ApiError                  the gateway answered with an error code
    │   ├── AuthError             code, access token or refresh token is not (or no longer) good
    │   ├── SignatureError        what was signed is not what the gateway signed
    │   ├── ClockError            the timestamp is outside the gateway's window
    │   ├── Throttled             a rate limit; ``retry_after`` says how long it lasts
    │   ├── ServiceError          the platform or its backend failed; the same call may work later
    │   └── PermissionDenied      this app, address or seller may not do that
    ├── BusinessFailure           the gateway did its part, the business behind it refused
    ├── WebhookError              what came to an endpoint of yours is not to be acted on
    │   ├── WebhookSignatureError     it is not signed by the platform, or too long ago
    │   └── WebhookMessageError       it is signed, and no message
    └── TokenError                there is no token to serve, or none can be kept
        ├── ReauthorizationRequired   only the seller can give another
        │   └── UnknownSeller     nothing is kept of this seller: never authorized, or forgotten
        ├── RefreshAmbiguous      whether the refresh token was spent is not known
        └── StoreError            the store failed
            ├── NotPersisted      neither the store nor the journal took a seller's approval
            └── StaleRecord       somebody else wrote the record in the meantime

Bad input (a float parameter, a missing file, a plain-http public host) is a ``TypeError``,
``ValueError`` or ``OSError`` raised before anything is sent.
"""

from .calls import (
    BusinessFailure,
    InvalidAnswer,
    IopError,
    ProtocolError,
    SigningFailed,
    TransportError,
    TransportTimeout,
)
from .refusals import (
    ApiError,
    AuthError,
    ClockError,
    PermissionDenied,
    Scope,
    ServiceError,
    SignatureError,
    Throttled,
)
from .tokens import (
    NotPersisted,
    ReauthorizationRequired,
    RefreshAmbiguous,
    StaleRecord,
    StoreError,
    TokenError,
    UnknownSeller,
)
from .webhooks import WebhookError, WebhookMessageError, WebhookSignatureError

__all__ = [
    "ApiError",
    "AuthError",
    "BusinessFailure",
    "ClockError",
    "InvalidAnswer",
    "IopError",
    "NotPersisted",
    "PermissionDenied",
    "ProtocolError",
    "ReauthorizationRequired",
    "RefreshAmbiguous",
    "Scope",
    "ServiceError",
    "SignatureError",
    "SigningFailed",
    "StaleRecord",
    "StoreError",
    "Throttled",
    "TokenError",
    "TransportError",
    "TransportTimeout",
    "UnknownSeller",
    "WebhookError",
    "WebhookMessageError",
    "WebhookSignatureError",
]
