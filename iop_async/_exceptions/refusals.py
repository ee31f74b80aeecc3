"""The refusals of a gateway: an error code, what kind it is, and the facts for a retry."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from .._redact import legible, redact_tree
from .calls import IopError

Scope: TypeAlias = Literal["app", "api", "seller"]


class ApiError(IopError):
    """The gateway refused the call, or the business behind it did.

    In its texts the secrets of the call are masked, and control characters are escaped.

    Attributes:
        code: the gateway's code as text (``"IllegalAccessToken"``, ``"50"``).
        sub_code: TOP's finer code, for example ``"isv.invalid-parameter"``.
        type: ``ISV``, ``ISP`` or ``SYSTEM``. The platform's own pages contradict each other on
            their meaning, so nothing here branches on it.
        message: the gateway's words.
        advice: what to do about this code; empty where nothing is known.
        request_id: what the platform's support asks for.
        body: the whole decoded answer, with any ``detail``; not in ``vars()``, masked in a pickle.
        content: the answer as received; in no message, ``repr``, ``vars()`` or pickle.
        affects_every_seller: any seller's call would fail alike: signature, app key, address,
            permission, clock. The call was not applied.
        scope: whose limit or refusal it is: that of the whole ``app``, of this ``api``, or of this
            ``seller``.
        refresh_token_rejected: the call presented a refresh token, and it was that which the
            gateway refused.

    Example::

        try:
            await seller.call("/orders/get")
        except iop.ApiError as error:
            print(error.code, error.sub_code, error.message, error.advice, error.request_id)
    """

    __slots__ = ("_secrets", "body", "content")

    affects_every_seller: bool = False
    refresh_token_rejected: bool = False
    scope: Scope = "api"

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
        secrets: Iterable[str] = (),
    ) -> None:
        self._secrets = tuple(secrets)
        self.code: str = legible(code, self._secrets)
        self.message: str = legible(message, self._secrets)
        self.sub_code: str | None = sub_code and legible(sub_code, self._secrets)
        self.type: str | None = type and legible(type, self._secrets)
        self.request_id: str | None = request_id and legible(request_id, self._secrets)
        super().__init__(self.code, self.message)
        self.body: Any = body
        self.content: bytes = b""
        self.advice = advice
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        body = redact_tree(self.body, self._secrets)
        return type(self), self.args, {**vars(self), "body": body}

    def __str__(self) -> str:
        code = f"{self.code}/{self.sub_code}" if self.sub_code else self.code
        said = f"{code}: {self.message}" if self.message else code
        advice = f". {self.advice}" if self.advice else ""
        request = f" (request_id {self.request_id})" if self.request_id else ""
        return f"{said}{advice}{request}{self._effort()}"


class AuthError(ApiError):
    """An authorization code, access token or refresh token was refused.

    Attributes:
        access_token_rejected: it was the access token, or that none was sent: the call was not
            applied and may be made again with a newer one.

    Example::

        try:
            await seller.call("/orders/get")
        except iop.AuthError as error:
            print(error.access_token_rejected, error.advice)
    """

    access_token_rejected: bool = False


class SignatureError(ApiError):
    """The gateway computed another signature.

    Attributes:
        string_to_sign: what the gateway signed, when it says so (the sandbox does). It holds the
            call's secrets, so it is in no message, ``vars()`` or pickle.

    Example::

        try:
            await seller.call("/orders/get")
        except iop.SignatureError as error:
            print("is it this app's secret?", error.advice)
    """

    __slots__ = ("string_to_sign",)

    affects_every_seller = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.string_to_sign: str | None = None


class ClockError(ApiError):
    """The timestamp of the call is too far from the gateway's clock.

    Attributes:
        gateway_time: the gateway's time, where its answer has a ``Date``.
        correction: what had been added to this machine's clock, by earlier answers' ``Date``.

    Example::

        try:
            await seller.call("/orders/get")
        except iop.ClockError as error:
            print("this machine's clock is off by", error.offset)
    """

    affects_every_seller = True
    gateway_time: datetime | None = None
    correction: timedelta = timedelta(0)

    @property
    def offset(self) -> timedelta | None:
        """Clock of this machine minus the gateway's, to about a second; ``None`` where unknown."""
        if self.gateway_time is None or self.sent_at is None:
            return None
        return self.sent_at - self.correction - self.gateway_time

    def __str__(self) -> str:
        return f"{super().__str__()}; {self._relation()}"

    def _relation(self) -> str:
        if self.offset is None:
            return "the answer has no Date, so by how much this machine's clock is off is not known"
        seconds = round(self.offset.total_seconds())
        relation = "ahead of" if seconds >= 0 else "behind"
        words = f"this machine is {abs(seconds)} s {relation} the gateway"
        if self.correction:
            return f"{words} by its Date, and a timestamp by that was refused as well"
        return words


class Throttled(ApiError):
    """A call limit of the API, the seller or the app; wait ``retry_after`` seconds.

    Example::

        try:
            await seller.call("/orders/get", timeout=5.0)
        except iop.Throttled as error:
            print("later:", error.retry_after, "s, for the whole", error.scope)
    """

    retryable = True


class ServiceError(ApiError):
    """The platform or the service behind it failed.

    Example::

        try:
            await seller.call("/order/create", {"item_id": 42})
        except iop.ServiceError as error:
            print("try later" if not error.may_have_been_applied else "look first")
    """

    retryable = True
    may_have_been_applied = True


class PermissionDenied(ApiError):
    """The app, its address or the seller lacks a permission; only a person can change that.

    Example::

        try:
            await seller.call("/orders/get")
        except iop.PermissionDenied as error:
            print("to be changed in the console:", error.code, error.advice)
    """

    affects_every_seller = True
