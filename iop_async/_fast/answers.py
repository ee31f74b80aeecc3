"""Answers, put together from what httptools tells of the bytes that come."""

from __future__ import annotations

from typing import Final

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from .._http.failures import RemoteProtocolError
from .._http.messages import Outgoing, ReceivedAnswer

MAX_HEAD_BYTES: Final = 100 * 1024
"""Of headers, and of whatever else comes between two pieces of a body. As many as h11 takes."""


class IncomingAnswer:
    """The answer to one request. The methods ``on_...`` are called by httptools.

    Attributes:
        is_complete: it came whole.
        may_follow: another request may be sent after it, over the same connection.
    """

    __slots__ = (
        "_head",
        "_outgoing",
        "_parser",
        "_received",
        "_silent",
        "is_complete",
        "may_follow",
    )

    def __init__(self, outgoing: Outgoing) -> None:
        self._outgoing = outgoing
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        # The other transport reads these as well: line ends without CR, and a length beside chunks,
        # which then count (RFC 9112, 2.2 and 6.3).
        self._parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_chunked_length=True
        )
        self._head: list[tuple[bytes, bytes]] | None = []
        self._silent = self._received = 0
        self.is_complete = self.may_follow = False

    @property
    def is_over(self) -> bool:
        """It is complete, or the rest of it is of no use."""
        answer = self._outgoing.answer
        return self.is_complete or (answer is not None and answer.unreadable)

    def close(self) -> None:
        """Let go of the parser, which holds this object, and so would keep both alive."""
        self._parser = None

    def feed(self, data: bytes) -> bool:
        """Take in what came; whether that is all. Raises :class:`RemoteProtocolError`."""
        self._silent += len(data)
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr] # nothing is fed once closed
        except HttpParserCallbackError as error:
            raise error.__context__ or error from None
        except HttpParserError as error:
            if not self.is_complete:
                raise RemoteProtocolError(self._complaint()) from error
            self.may_follow = False  # something follows that nobody asked for
        if self.is_over:
            return True
        if self._silent > MAX_HEAD_BYTES:
            raise RemoteProtocolError(_TOO_LONG)
        return False

    def end(self) -> None:
        """The connection has ended. Raises :class:`RemoteProtocolError` where the answer has not.

        httptools has no way to be told, and where nothing says how long a body is, this is its end.
        """
        answer = self._outgoing.answer
        if answer is None:
            msg = "Server disconnected without sending a response"
            raise RemoteProtocolError(msg)
        if {"content-length", "transfer-encoding"} & answer.headers.keys():
            msg = "peer closed connection without sending complete message body"
            raise RemoteProtocolError(msg)
        self.is_complete = True

    def _complaint(self) -> str:
        if self._head is None:
            return "illegal chunk"
        has_status = self._parser is not None and self._parser.get_status_code()
        return "illegal header line" if has_status else "illegal status line"

    def on_message_begin(self) -> None:
        """One more answer than was asked for, where there is one already."""
        if self.is_complete:
            self.may_follow = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody needs."""
        if self._head is not None:
            self._head.append((name, value))
            self._received += len(name) + len(value)
            if self._received > MAX_HEAD_BYTES:
                raise RemoteProtocolError(_TOO_LONG)

    def on_headers_complete(self) -> None:
        """The answer begins, unless it is a provisional one (RFC 9110, 15.2)."""
        status = self._parser.get_status_code()  # type: ignore[union-attr]
        if self.is_complete or self._head is None:
            return
        if status < 200:
            if status == 101:
                msg = "switches to another protocol, which nobody asked for"
                raise RemoteProtocolError(msg)
            self._head = []
            return
        outgoing = self._outgoing
        answer = outgoing.begin_answer(ReceivedAnswer(status, self._head, outgoing.limit))
        self._head, self._silent = None, 0
        coding = answer.headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            msg = "a transfer encoding that was not asked for"
            raise RemoteProtocolError(msg)
        # httptools cannot be told that this answer has no body whatever its length says; it waits
        # for one, so that nothing may follow.
        self.is_complete = outgoing.method == "HEAD"

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        answer = self._outgoing.answer
        if not self.is_complete and answer is not None and not answer.unreadable:
            self._silent = 0
            answer.feed(chunk)

    def on_message_complete(self) -> None:
        """The answer has ended, where it was no provisional one."""
        if self._head is None and not self.is_complete:
            self.is_complete = True
            # Outside of callbacks the parser has forgotten it.
            self.may_follow = self._parser.should_keep_alive()  # type: ignore[union-attr]


_TOO_LONG: Final = "its headers have no end"
