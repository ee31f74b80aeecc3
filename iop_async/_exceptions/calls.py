"""What a call raises: the root of the tree, and what came of a request but for its refusals."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from .._redact import escape_controls, legible

if TYPE_CHECKING:
    from .._models import Failure, Reply


class IopError(Exception):
    """Root of the tree. The class attributes are the facts that a retry decision needs.

    Attributes:
        retryable: the same call may succeed later without anybody changing anything.
        retry_after: seconds to wait first, where the other side named them.
        may_have_been_applied: the call may have taken effect although it failed, so repeating
            one that is not idempotent (or that spends a refresh token) needs thought.
        sent_at: when the request was sent (aware UTC), as nearly as is known.
        tries: how often the call was tried; this is the error of the last try. 0 where it was
            not sent, because calls before it were refused alike.
        tried_for: seconds from the beginning of the first try to the end of the last, where there
            were several.

    Example::

        try:
            await seller.call("/orders/get")
        except iop.IopError as error:
            print(error, error.retryable, error.retry_after, error.may_have_been_applied)
    """

    retryable: bool = False
    retry_after: float | None = None
    may_have_been_applied: bool = False
    sent_at: datetime | None = None
    tries: int = 1
    tried_for: float = 0.0

    def __str__(self) -> str:
        return escape_controls(super().__str__()) + self._effort()

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

    Example::

        try:
            await seller.call("/order/create", {"item_id": 42})
        except iop.TransportError as error:
            if error.may_have_been_applied:
                print("look whether the order exists before you repeat it")
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
    """A phase of the exchange, or all of it, took longer than its timeout.

    Example::

        try:
            await seller.call("/orders/get", timeout=5.0)
        except iop.TransportTimeout as error:
            print("no answer after", error.tries, "tries")
    """


class SigningFailed(IopError):
    """The signer gave no signature, so nothing was sent.

    A signer of yours raised (``__cause__`` is what), or took too long. It is ``retryable``, unless
    that was a ``TypeError`` or ``ValueError``: those say that the call cannot be signed.

    Example::

        try:
            await seller.call("/orders/get")
        except iop.SigningFailed as error:
            print("nothing was sent:", error.__cause__)
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

    Example::

        try:
            await seller.call("/orders/get")
        except iop.ProtocolError as error:
            print(error.status, len(error.content))
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

    Example::

        get_orders = iop.Endpoint("/orders/get", dict[str, object])
        try:
            await get_orders(seller)
        except iop.InvalidAnswer as error:
            print("the data differs at", error.path)
    """

    def __init__(
        self, message: str, *, path: str = "", status: int = 200, content: bytes = b""
    ) -> None:
        super().__init__(message, status=status, content=content)
        self.path: str = legible(path)


class BusinessFailure(IopError):
    """The gateway calls it a success, and the business behind it reports a failure.

    Raised by :meth:`Reply.raise_for_failure <iop_async.Reply.raise_for_failure>`, and by an
    :class:`~iop_async.Endpoint`, only.

    Attributes:
        failure: the business's code and words.
        reply: the whole answer.

    Example::

        try:
            (await seller.call("/order/create", {"item_id": 42})).raise_for_failure()
        except iop.BusinessFailure as error:
            print(error.failure.code, error.failure.message)
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
        request = f" (request_id {escape_controls(request_id)})" if request_id else ""
        return f"the business refused: {said or 'it gives no reason'}{request}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.failure, self.reply)
