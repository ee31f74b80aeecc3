"""A request on its way out, and its answer as it comes in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import lru_cache
from time import monotonic
from typing import ClassVar, Final, Self, cast
from urllib.parse import urlsplit

import anyio
from attrs import define, field

from .._exceptions import ProtocolError, TransportError
from .._wire import HttpRequest, HttpResponse, Lane
from .decoding import CorruptData, Decoder
from .streams import CLOSE_TIMEOUT, Upload

KEPT_BYTES: Final = 64 * 1024
"""Bytes of an unreadable answer that its error keeps."""

_URL = re.compile(r"((?i:https?)://[^/?#\s@]+)([/?][!\"$-~]*)?")
_PORTS: Final = {"http": 80, "https": 443}


def _wait_for_ever(_seconds: float | None) -> None:
    """For an answer of which nobody has said how long it is waited for."""


@define(eq=False)
class Outgoing:
    """A request ready for the wire.

    Attributes:
        base: ``https://host:port``.
        target: path and query, byte for byte as signed.
        limit: bytes of answer accepted.
        send_before: a moment of ``time.monotonic``; see :class:`HttpRequest`.
        lane: whose slots it may take; see :class:`HttpRequest`.
        timeout: seconds for all of it; see :class:`HttpRequest`.
        begun: some of it may have been sent.
        on_kept_connection: over one that had carried another request before.
        answer: what has come back so far.
        expect: waits so many seconds for the next piece of the answer, once the exchange has begun.
        streams: its answer is written to a file as it comes, however long that takes.
    """

    streams: ClassVar[bool] = False
    method: str
    base: str
    target: bytes = field(repr=False)
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    content: bytes | Upload = field(repr=False)
    limit: int
    send_before: float | None = None
    lane: Lane = "calls"
    timeout: float | None = None
    begun: bool = False
    on_kept_connection: bool = False
    answer: ReceivedAnswer | None = field(default=None, repr=False)
    expect: Callable[[float | None], None] = field(default=_wait_for_ever, repr=False)

    def begin_answer(self, answer: ReceivedAnswer) -> ReceivedAnswer:
        """Take note of an answer that has begun to come, and so of having been sent."""
        self.begun, self.answer = True, answer
        return answer

    @property
    def received(self) -> bytes:
        """What came of an answer that breaks off: it may hold a fresh token all the same."""
        return b"" if self.answer is None else self.answer.excerpt

    @property
    def where(self) -> str:
        """The name of the request in a message: no query, so no secrets."""
        return f"{self.method} {self.base}{self.target.partition(b'?')[0].decode()}"


def prepare(
    request: HttpRequest, upload: Upload | None, *, user_agent: bytes, limit: int
) -> Outgoing:
    """Make a request ready for the wire.

    Args:
        upload: its body, where that is more than a few bytes.
        limit: bytes of answer accepted.

    Raises:
        ValueError: the URL is not one that can be sent as it is.
    """
    match = _URL.fullmatch(request.url)
    if match is None:
        msg = "the URL is not http or https, or not ASCII; percent-encode what is not"
        raise ValueError(msg)
    base, host = _address(match[1])
    target = (match[2] or "/").encode("ascii")
    if not target.startswith(b"/"):
        target = b"/" + target
    headers = {b"host": host, b"user-agent": user_agent, b"accept-encoding": b"gzip"}
    for name, value in request.headers.items():
        headers[name.lower().encode("ascii")] = value.encode("latin-1")
    length = len(request.body) if upload is None else upload.length
    if length is None:
        headers[b"transfer-encoding"] = b"chunked"
    elif length or request.method != "GET":
        headers[b"content-length"] = b"%d" % length
    return Outgoing(
        request.method,
        base,
        target,
        list(headers.items()),
        cast("bytes", request.body) if upload is None else upload,
        limit,
        request.send_before,
        request.lane,
        request.timeout,
    )


def require_time(send_before: float | None) -> None:
    """Raises ``TransportError`` where it is too late to begin to send."""
    if send_before is not None and monotonic() >= send_before:
        msg = "not sent: the time in which it might be sent was over"
        raise TransportError(msg, may_have_been_applied=False)


@lru_cache(maxsize=64)
def _address(base: str) -> tuple[str, bytes]:
    """``https://host:port`` in its normal form, and the ``Host`` header that goes with it."""
    parts = urlsplit(base)
    host = (parts.hostname or "").encode("idna").decode()
    host = f"[{host}]" if ":" in host else host
    default = _PORTS[parts.scheme]
    port = parts.port or default
    header = host if port == default else f"{host}:{port}"
    return f"{parts.scheme}://{host}:{port}", header.encode()


class Chunks:
    """Chunks in memory, as an HTTP library iterates them.

    A class with ``__anext__`` and no async generator: a request may end before its body does, and
    a generator that is left in the middle needs the event loop to be cleaned up. Trio warns of it.
    """

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


class ReceivedAnswer:
    """An answer, fed chunk by chunk.

    Args:
        headers: as received.
        limit: bytes accepted, both as received and decoded.
        decoded: what comes is decoded already, whatever the headers say.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
    """

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        limit: int,
        *,
        decoded: bool = False,
    ) -> None:
        self.status = status
        self.headers = _text_headers(headers)
        self._limit = limit
        self._parts: list[bytes] = []
        self._raw: list[bytes] = []
        self._received = self._size = 0
        self._complaint: str | None = None
        self._decoder: Decoder | None = None
        encoding = self.headers.get("content-encoding")
        if encoding is not None and not decoded:
            self._choose_decoder(encoding.strip().lower())

    def _choose_decoder(self, encoding: str) -> None:
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._decoder = Decoder(may_be_bare=encoding == "deflate")
        elif encoding not in ("", "identity"):
            self._complaint = f"encoded as {encoding!r}, which was not asked for"

    @property
    def unreadable(self) -> bool:
        """The rest of the answer is of no use."""
        return self._complaint is not None and (
            bool(self._parts) or self._received >= min(KEPT_BYTES, self._limit)
        )

    def feed(self, chunk: bytes) -> None:
        """Take in the next chunk as received."""
        self._received += len(chunk)
        if self._complaint is not None or self._decoder is not None:
            self._keep_raw(chunk)
        if self._complaint is not None:
            return
        if self._decoder is not None:
            chunk = self._decoded(self._decoder, chunk)
        self._size += len(chunk)
        if max(self._size, self._received) > self._limit:
            self._complaint = f"larger than {self._limit} bytes"
        if chunk:
            self._parts.append(chunk)

    def _decoded(self, decoder: Decoder, chunk: bytes) -> bytes:
        try:
            return decoder.feed(chunk, self._limit - self._size + 1)
        except CorruptData as corrupt:
            self._complaint = "compressed, and corrupt"
            if decoder.is_bare:
                self._parts.clear()
                return b""
            return corrupt.data

    def _keep_raw(self, chunk: bytes) -> None:
        """Keep what may be all that can be had of an answer that cannot be decoded."""
        if self._received - len(chunk) < KEPT_BYTES:
            self._raw.append(chunk)

    async def read(
        self,
        chunks: AsyncIterable[bytes],
        close: Callable[[], Awaitable[None]],
        expect: Callable[[], None] = lambda: None,
    ) -> None:
        """Feed all of ``chunks``, or as much as is of use.

        Args:
            expect: called before each chunk.
        """
        try:
            expect()
            async for chunk in chunks:
                self.feed(chunk)
                expect()
                if self._complaint is not None and self.unreadable:
                    # Closing makes the iteration fail at its source. Leaving the loop instead
                    # would leave the HTTP library's generators for the event loop to clean up,
                    # and so would a cancellation in the middle of closing.
                    with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                        await close()
        except Exception:
            if not self.unreadable:
                raise

    @property
    def excerpt(self) -> bytes:
        """The beginning of what came: decoded where any of it could be, else as received."""
        return b"".join(self._parts or self._raw)[:KEPT_BYTES]

    def response(self, where: Callable[[], str]) -> HttpResponse:
        """The answer, once it is all here.

        Args:
            where: names the request in a message.

        Raises:
            ProtocolError: the answer is too large, or its compression is broken; ``content`` is
                the :attr:`excerpt`, which may hold the only copy of a fresh token.
        """
        if self._decoder is not None and self._received and not self._decoder.complete:
            self._complaint = self._complaint or "compressed, and cut short"
        if self._complaint is not None:
            is_large = max(self._size, self._received) > self._limit
            raise ProtocolError(
                f"{where()}: HTTP {self.status}, an answer that is {self._complaint}",
                status=self.status,
                content=self.excerpt,
                retryable=self._decoder is not None and not is_large,  # damaged on its way
            )
        return HttpResponse(self.status, self.headers, b"".join(self._parts))


def _text_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        texts[name] = f"{texts[name]}, {value}" if name in texts else value
    return texts
