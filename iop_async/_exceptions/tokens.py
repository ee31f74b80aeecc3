"""What the keeping of tokens raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._redact import escape_controls
from .calls import IopError

if TYPE_CHECKING:
    from .._models import Token


class TokenError(IopError):
    """There is no token to serve, or none can be kept.

    Example::

        try:
            await tokens.seller("1001").call("/orders/get")
        except iop.TokenError as error:
            print("no token for now; again after", error.retry_after)
    """


class ReauthorizationRequired(TokenError):
    """No token can be served until the seller authorizes the app again.

    Attributes:
        seller_id: the seller that was asked for.
        reason: why, in words.

    Example::

        try:
            await tokens.seller("1001").call("/orders/get")
        except iop.ReauthorizationRequired as error:
            print("send seller", error.seller_id, "to the consent page:", error.reason)
    """

    def __init__(self, seller_id: str, reason: str = "") -> None:
        super().__init__(seller_id, reason)
        self.seller_id = seller_id
        self.reason = reason

    def __str__(self) -> str:
        return escape_controls(
            f"seller {self.seller_id} must authorize the app again: {self.reason}"
        )


class UnknownSeller(ReauthorizationRequired):
    """Nothing is kept of this seller: it never authorized the app here, or was forgotten.

    Where it should be known, its id may be another's, or the store or scope another one.

    Example::

        try:
            await tokens.seller("1001").call("/orders/get")
        except iop.UnknownSeller as error:
            print("is this the id of another store or app?", error.seller_id)
    """

    def __str__(self) -> str:
        return escape_controls(f"seller {self.seller_id} is not known here: {self.reason}")


class RefreshAmbiguous(TokenError):
    """A refresh token was presented and its answer lost: it may be spent.

    Attributes:
        seller_id: the seller that was asked for.

    Example::

        try:
            await tokens.seller("1001").call("/orders/get")
        except iop.RefreshAmbiguous as error:
            print(error.seller_id, "later; the manager goes on asking", error.retry_after)
    """

    may_have_been_applied = True

    def __init__(self, seller_id: str, reason: str = "") -> None:
        super().__init__(seller_id, reason)
        self.seller_id = seller_id
        self.reason = reason

    def __str__(self) -> str:
        return escape_controls(
            f"the refresh of seller {self.seller_id} may or may not have happened: {self.reason}"
        )


class StoreError(TokenError):
    """The store failed. What it should have kept is kept elsewhere, if it is a token pair.

    Args:
        message: what happened, what it means, and what to do.
        retryable: whether the same may succeed later; by default what the class says.

    Example::

        try:
            await tokens.seller("1001").call("/orders/get")
        except iop.StoreError as error:
            print("again" if error.retryable else "repair the store first:", error)
    """

    retryable: bool = True

    def __init__(self, message: str = "", *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class StaleRecord(StoreError):
    """The stored record is newer than the one that was to be replaced, or gone.

    Example::

        try:
            await tokens.seller("1001").call("/orders/get")
        except iop.StaleRecord:
            print("somebody else wrote it; read it again")
    """

    retryable = False


class NotPersisted(StoreError):
    """A seller's approval is in memory alone: neither the store nor the journal took it.

    The manager serves it, and writes it to the store when that is back. Should the process end
    before, the seller must authorize again, unless somebody has kept the ``token`` and gives it to
    ``import_token`` then.

    Attributes:
        seller_id: what the grant is filed under.
        token: what the approval gave. It holds secrets, so it is in no message, ``vars()`` or
            pickle: ``None`` in a copy of one.

    Example::

        try:
            await tokens.authorize(code)
        except iop.NotPersisted as error:
            unsaved = error.token  # keep it as a secret; import_token takes it later
    """

    __slots__ = ("token",)
    retryable = False

    def __init__(self, seller_id: str, token: Token | None = None) -> None:
        super().__init__(seller_id)
        self.seller_id = seller_id
        self.token: Token | None = token

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.seller_id,), vars(self)

    def __str__(self) -> str:
        return escape_controls(
            f"seller {self.seller_id} has authorized, and its token is in memory alone: neither "
            "the store nor a journal took it. Keep this error's token until the store is back"
        )
