"""Everything this library raises on purpose after a call has begun.

    IopError
    ├── TransportError            no complete answer came back
    │   └── TransportTimeout      ... within the time allowed
    ├── ProtocolError             an answer came back that is no envelope
    ├── ApiError                  the gateway answered with an error code
    │   ├── AuthError             code, access token or refresh token is not (or no longer) good
    │   ├── SignatureError        what was signed is not what the gateway signed
    │   ├── ClockError            the timestamp is outside the gateway's window
    │   ├── Throttled             a rate limit; ``retry_after`` says how long it lasts
    │   ├── ServiceError          the platform or its backend failed; the same call may work later
    │   └── PermissionDenied      this app, address or seller may not do that
    └── TokenError                there is no token to serve, or none can be kept
        ├── ReauthorizationRequired   only the seller can give another
        ├── RefreshAmbiguous      whether the refresh token was spent is not known
        └── StoreError            the store failed
            └── StaleRecord       somebody else wrote the record in the meantime

Bad input (a float parameter, a missing file, a plain-http public host) is a ``TypeError``,
``ValueError`` or ``OSError`` raised before anything is sent.
"""

from __future__ import annotations

from typing import Any


class IopError(Exception):
    """Root of the tree. The class attributes are the facts that a retry decision needs.

    Attributes:
        retryable: the same call may succeed later without anybody changing anything.
        retry_after: seconds to wait first, where the other side named them.
        may_have_been_applied: the call may have taken effect although it failed, so repeating
            one that is not idempotent (or that spends a refresh token) needs thought.
    """

    retryable: bool = False
    retry_after: float | None = None
    may_have_been_applied: bool = False


class TransportError(IopError):
    """The connection failed, or broke before the whole answer was there."""

    retryable = True

    def __init__(self, message: str, *, may_have_been_applied: bool = True) -> None:
        super().__init__(message)
        self.may_have_been_applied = may_have_been_applied


class TransportTimeout(TransportError):
    """A phase of the exchange, or all of it, took longer than its timeout."""


class ProtocolError(IopError):
    """The answer is not an envelope: HTML, empty, truncated, too large.

    Attributes:
        status: the HTTP status of the answer.
        content: the answer as received; it may hold secrets and is in no message or ``repr``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        content: bytes = b"",
        retryable: bool = False,
        may_have_been_applied: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.content = content
        self.retryable = retryable
        self.may_have_been_applied = may_have_been_applied

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**self.__dict__, "content": b""}


class ApiError(IopError):
    """The gateway refused the call, or the business behind it did.

    Attributes:
        code: the gateway's code as text (``"IllegalAccessToken"``, ``"50"``).
        sub_code: TOP's finer code, for example ``"isv.invalid-parameter"``.
        type: ``ISV``, ``ISP`` or ``SYSTEM``. The platform's own pages contradict each other on
            their meaning, so nothing here branches on it.
        message: the gateway's words, with the secrets of the call masked.
        advice: what to do about this code; empty where nothing is known.
        request_id: what the platform's support asks for.
        body: the whole decoded answer, including any ``detail`` list.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        sub_code: str | None = None,
        type: str | None = None,
        request_id: str | None = None,
        body: Any = None,
        advice: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.sub_code = sub_code
        self.type = type
        self.request_id = request_id
        self.body = body
        self.advice = advice
        self.retry_after = retry_after

    def __str__(self) -> str:
        code = f"{self.code}/{self.sub_code}" if self.sub_code else self.code
        said = f"{code}: {self.message}" if self.message else code
        advice = f". {self.advice}" if self.advice else ""
        request = f" (request_id {self.request_id})" if self.request_id else ""
        return f"{said}{advice}{request}"


class AuthError(ApiError):
    """An authorization code, access token or refresh token was refused.

    Attributes:
        access_token_rejected: it was the access token, so the call was not applied and may be
            made again with a newer one.
    """

    access_token_rejected: bool = False


class SignatureError(ApiError):
    """The gateway computed another signature.

    Attributes:
        string_to_sign: what the gateway signed, when it says so (the sandbox does). It holds the
            call's secrets, so it is in no message.
    """

    string_to_sign: str | None = None


class ClockError(ApiError):
    """The timestamp of the call is too far from the gateway's clock."""


class Throttled(ApiError):
    """A call limit of the API, the seller or the app; wait ``retry_after`` seconds."""

    retryable = True


class ServiceError(ApiError):
    """The platform or the service behind it failed."""

    retryable = True
    may_have_been_applied = True


class PermissionDenied(ApiError):
    """The app, its address or the seller lacks a permission; only a person can change that."""


class TokenError(IopError):
    """There is no token to serve, or none can be kept."""


class ReauthorizationRequired(TokenError):
    """No token can be served until the seller authorizes the app again.

    Attributes:
        seller_id: the seller that was asked for.
        reason: why, in words.
    """

    def __init__(self, seller_id: str, reason: str = "") -> None:
        super().__init__(seller_id, reason)
        self.seller_id = seller_id
        self.reason = reason

    def __str__(self) -> str:
        return f"seller {self.seller_id} must authorize the app again: {self.reason}"


class RefreshAmbiguous(TokenError):
    """A refresh token was presented and its answer lost: it may be spent.

    Attributes:
        seller_id: the seller that was asked for.
    """

    may_have_been_applied = True

    def __init__(self, seller_id: str, reason: str = "") -> None:
        super().__init__(seller_id, reason)
        self.seller_id = seller_id
        self.reason = reason

    def __str__(self) -> str:
        return f"the refresh of seller {self.seller_id} may or may not have happened: {self.reason}"


class StoreError(TokenError):
    """The store failed. What it should have kept is kept elsewhere, if it is a token pair."""

    retryable = True


class StaleRecord(StoreError):
    """The stored record is newer than the one that was to be replaced, or gone."""

    retryable = False
