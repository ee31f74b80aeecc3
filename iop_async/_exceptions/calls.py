"""What a call raises: the root of the tree, and what came of a request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from .._redact import legible, redact_tree

if TYPE_CHECKING:
    from .._models import Failure, Reply

Scope: TypeAlias = Literal["app", "api", "seller"]


class IopError(Exception):
    """Root of the tree. The class attributes are the facts that a retry decision needs.

    Attributes:
        retryable: the same call may succeed later without anybody changing anything.
        retry_after: seconds to wait first, where the other side named them.
        may_have_been_applied: the call may have taken effect although it failed, so repeating
            one that is not idempotent (or that spends a refresh token) needs thought.
        sent_at: when the request was sent (aware UTC), as nearly as is known.
        tries: how often the call was tried; this is the error of the last try. None where it was
            not sent, because calls before it were refused alike.
        tried_for: seconds from the beginning of the first try to the end of the last, where there
            were several.
    """

    retryable: bool = False
    retry_after: float | None = None
    may_have_been_applied: bool = False
    sent_at: datetime | None = None
    tries: int = 1
    tried_for: float = 0.0

    def __str__(self) -> str:
        return super().__str__() + self._effort()

    def _effort(self) -> str:
        """How much was tried, in words; empty where that was once."""
        if not self.tries:
            return (
                f". Not sent, as others just were refused so; try in {self.retry_after or 0:.1f} s"
            )
        return f"; tried {self.tries} times in {self.tried_for:.1f} s" if self.tries > 1 else ""


class TransportError(IopError):
    """The connection failed, or broke before the whole answer was there.

    Attributes:
        content: what came of the answer; it may hold secrets and is in no message or ``repr``.
        connection_was_stale: it had been kept open after another call, and broke before any of
            this one's answer came: most likely the server had closed it, and read nothing.
    """

    retryable: bool = True
    connection_was_stale: bool = False

    def __init__(
        self, message: str, *, may_have_been_applied: bool = True, content: bytes = b""
    ) -> None:
        super().__init__(message)
        self.may_have_been_applied = may_have_been_applied
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {**self.__dict__, "content": b""}


class TransportTimeout(TransportError):
    """A phase of the exchange, or all of it, took longer than its timeout."""


class SigningFailed(IopError):
    """The signer gave no signature, so nothing was sent.

    A signer of yours raised (``__cause__`` is what), or took too long. It is ``retryable``, unless
    that was a ``TypeError`` or ``ValueError``: those say that the call cannot be signed.
    """

    retryable: bool = True

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class ProtocolError(IopError):
    """The answer is not an envelope: HTML, empty, truncated, too large.

    Attributes:
        status: the HTTP status of the answer.
        content: the answer as received; it may hold secrets, so it is in no message, ``repr``,
            ``vars()`` or pickle.
    """

    __slots__ = ("content",)

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        content: bytes = b"",
        retryable: bool = False,
        may_have_been_applied: bool = True,
    ) -> None:
        super().__init__(legible(message))
        self.status = status
        self.content: bytes = content
        self.retryable = retryable
        self.may_have_been_applied = may_have_been_applied

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, vars(self)


class InvalidAnswer(ProtocolError):
    """The gateway calls it a success, and its data is not of the type of the endpoint.

    The call took effect as far as anybody knows, so it is not retryable. No value of the data is in
    the message.

    Attributes:
        path: where it differs, ``orders[3].price`` say; empty for the data as a whole.
    """

    def __init__(
        self, message: str, *, path: str = "", status: int = 200, content: bytes = b""
    ) -> None:
        super().__init__(message, status=status, content=content)
        self.path: str = legible(path)


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
    """

    access_token_rejected: bool = False


class SignatureError(ApiError):
    """The gateway computed another signature.

    Attributes:
        string_to_sign: what the gateway signed, when it says so (the sandbox does). It holds the
            call's secrets, so it is in no message, ``vars()`` or pickle.
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
    """A call limit of the API, the seller or the app; wait ``retry_after`` seconds."""

    retryable = True


class ServiceError(ApiError):
    """The platform or the service behind it failed."""

    retryable = True
    may_have_been_applied = True


class PermissionDenied(ApiError):
    """The app, its address or the seller lacks a permission; only a person can change that."""

    affects_every_seller = True


class BusinessFailure(IopError):
    """The gateway calls it a success, and the business behind it reports a failure.

    Raised by :meth:`Reply.raise_for_failure <iop_async.Reply.raise_for_failure>`, and by an
    :class:`~iop_async.Endpoint`, only.

    Attributes:
        failure: the business's code and words.
        reply: the whole answer.
    """

    # A batch may have been taken in part; what was is in the reply.
    may_have_been_applied: bool = True

    def __init__(self, failure: Failure, reply: Reply | None = None) -> None:
        super().__init__(failure)
        self.failure: Failure = failure
        self.reply: Reply | None = reply
        self.retryable: bool = failure.retryable

    def __str__(self) -> str:
        said = ": ".join(filter(None, (self.failure.code, self.failure.message)))
        request_id = self.reply.request_id if self.reply is not None else None
        request = f" (request_id {request_id})" if request_id else ""
        return f"the business refused: {said or 'it gives no reason'}{request}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.failure, self.reply)
