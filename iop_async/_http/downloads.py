"""Files that come as answers: written as they come, and no faster than they can be written."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import ClassVar, Final
from urllib.parse import unquote

import anyio
from attrs import define, field

from .._exceptions import IopError, ProtocolError
from .._inputs import require_count, require_seconds
from .._redact import escape_controls, redact
from .._refusals import header_seconds
from .._wire import Downloaded, DownloadTarget, HttpRequest, HttpResponse
from .decoding import CorruptData
from .links import Link
from .messages import KEPT_BYTES, Outgoing, ReceivedAnswer, prepare
from .streams import CHUNK_BYTES, CLOSE_TIMEOUT
from .targets import Target, TargetBroken

MAX_REDIRECTS: Final = 5

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_EXCERPT: Final = 200
"""Characters of an answer without a file that its error shows."""

_FILENAME: Final = re.compile(
    r""";\s*filename(?P<is_extended>\*?)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^;\s]+))""",
    re.IGNORECASE,
)


@define(eq=False)
class Download(Outgoing):
    """A request for a file. What is no file (``limit`` bytes of it at most) stays in memory.

    Attributes:
        file: where it goes.
        max_bytes: of the file, both as received and decoded.
    """

    streams: ClassVar[bool] = True
    file: Target = field(kw_only=True)
    max_bytes: int = field(kw_only=True)

    @classmethod
    def prepare(
        cls,
        link: Link,
        file: Target,
        *,
        max_bytes: int,
        timeout: float | None,
        user_agent: bytes,
    ) -> Download:
        """A request ready for the wire. Raises ``ValueError`` where there is none to that link."""
        request = HttpRequest("GET", link.url)
        plain = prepare(request, None, user_agent=user_agent, limit=KEPT_BYTES)
        return cls(
            plain.method,
            plain.base,
            plain.target,
            plain.headers,
            plain.content,
            plain.limit,
            timeout=timeout,
            file=file,
            max_bytes=max_bytes,
        )

    def begin_answer(self, answer: ReceivedAnswer) -> ReceivedAnswer:
        """The answer that has begun to come, as one that is written to the target."""
        is_file = answer.status == 200
        return super().begin_answer(FileAnswer(answer, self) if is_file else answer)


class FileAnswer(ReceivedAnswer):
    """An answer that is written to a file, and never in memory as a whole.

    Args:
        begun: the same answer, before any of its body has come.
    """

    def __init__(self, begun: ReceivedAnswer, download: Download) -> None:
        super().__init__(begun.status, (), download.max_bytes)
        self.headers = begun.headers
        self._decoder, self._complaint = begun._decoder, begun._complaint
        self._download = download
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limit:
            self._complain_of_size()

    def _complain_of_size(self) -> None:
        self._complaint = self._complaint or f"larger than {self._limit} bytes"

    @property
    def unreadable(self) -> bool:
        """The rest of the answer is of no use."""
        return self._complaint is not None

    @property
    def is_full(self) -> bool:
        """So much waits to be written that no more should be received before that."""
        return self._waiting_bytes >= CHUNK_BYTES

    def feed(self, chunk: bytes) -> None:
        """Take in the next chunk as received."""
        self._received += len(chunk)
        if self._received > self._limit:
            self._complain_of_size()
        if self._complaint is None:
            self._waiting.append(chunk)
            self._waiting_bytes += len(chunk)

    async def drain(self) -> None:
        """Write what has come. Raises :class:`TargetBroken`."""
        chunks, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if chunks and self._complaint is None:
            self._download.expect(None)  # it is not the other side that keeps waiting
            await self._download.file.run(self._write, chunks)

    def _write(self, chunks: list[bytes]) -> None:
        chunk = b"".join(chunks)  # a host may send them byte by byte
        pieces = (chunk,) if self._decoder is None else self._decoder.pieces(chunk, CHUNK_BYTES)
        try:
            for piece in pieces:
                self._size += len(piece)
                if self._size > self._limit:
                    self._complain_of_size()
                    return
                self._download.file.write(piece)
        except CorruptData:
            self._complaint = "compressed, and corrupt"

    async def read(
        self,
        chunks: AsyncIterable[bytes],
        close: Callable[[], Awaitable[None]],
        expect: Callable[[], None] = lambda: None,
    ) -> None:
        """Feed and write all of ``chunks``, or as much as is of use."""
        broken: BaseException | None = None
        try:
            expect()
            async for chunk in chunks:
                self.feed(chunk)
                try:
                    if self.is_full and broken is None:
                        await self.drain()
                except BaseException as error:  # noqa: BLE001 - raised below
                    broken = error
                expect()
                if broken is not None or self.unreadable:
                    # as in the method of the base
                    with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                        await close()
        except Exception:
            if broken is None and not self.unreadable:
                raise
        if broken is not None:
            raise broken
        await self.drain()


async def download(
    url: str,
    to: DownloadTarget,
    exchange: Callable[[Link, Target], Awaitable[HttpResponse]],
    *,
    max_bytes: int,
    timeout: float | None,  # noqa: ASYNC109 - only looked at
    allow_http: bool,
) -> Downloaded:
    """A file, whole, or an error and nothing.

    Args:
        exchange: one request for the link, whose answer, where it has the status 200, was written
            to the target.
    """
    link = Link.of(url, allow_http=allow_http)
    require_count("max_bytes", max_bytes)
    require_seconds("timeout", timeout)
    target = Target.of(to)
    try:
        await target.run(target.open)
        response = await _follow(link, target, exchange)
        await target.run(target.finish)
    except BaseException as error:
        await target.undo()
        if isinstance(error, IopError):
            error.may_have_been_applied = False  # there is nothing to apply
            error.retryable = error.retryable and target.is_untouched
        if isinstance(error, TargetBroken) and error.__cause__ is not None:
            raise error.__cause__ from None
        raise
    return Downloaded(
        size=target.written,
        content_type=escape_controls(response.headers.get("content-type", "")),
        filename=filename_of(response.headers.get("content-disposition", "")),
    )


async def _follow(
    link: Link, target: Target, exchange: Callable[[Link, Target], Awaitable[HttpResponse]]
) -> HttpResponse:
    """The answer that has the file: not one of a few that tell where it is."""
    for redirects in range(MAX_REDIRECTS + 1):
        try:
            response = await exchange(link, target)
        except ProtocolError as error:
            if error.status == 200:
                raise
            response = HttpResponse(error.status, {}, error.content)  # no file, and unreadable
        location = response.headers.get("location")
        if response.status == 200:
            return response
        if response.status not in _REDIRECTS or not location:
            raise _refusal(link, response)
        if redirects == MAX_REDIRECTS:
            break
        try:
            link = link.redirected(location)
        except ValueError as error:
            msg = f"{link.where}: HTTP {response.status}, a redirect that is not followed: {error}"
            raise ProtocolError(msg, status=response.status) from None
    msg = f"{link.where}: HTTP {response.status}, after {MAX_REDIRECTS} redirects"
    raise ProtocolError(msg, status=response.status)


def _refusal(link: Link, response: HttpResponse) -> ProtocolError:
    """The error for an answer that is no file: by its status, with the beginning of its words."""
    words = response.content[: 4 * _EXCERPT].decode("utf-8", "replace")
    shown = redact(words, link.secrets)[:_EXCERPT]
    error = ProtocolError(
        f"{link.where}: HTTP {response.status}, no file" + (f": {shown!r}" if shown else ""),
        status=response.status,
        content=response.content,
        retryable=response.status >= 500 or response.status in (408, 429),
    )
    error.retry_after = header_seconds(response)
    return error


def filename_of(disposition: str) -> str | None:
    """The name that a ``Content-Disposition`` gives a file (RFC 6266), without any folders."""
    found: dict[str, str] = {}
    for match in _FILENAME.finditer(disposition):
        value = match["bare"] or re.sub(r"\\(.)", r"\1", match["quoted"] or "")
        found.setdefault(match["is_extended"], value)
    name = _decoded(found["*"]) if "*" in found else None
    if name is None and "" in found:
        raw = found[""].encode("latin-1", "replace")  # assumed: who sends no ASCII sends UTF-8
        name = raw.decode("utf-8", "replace")
    name = escape_controls(re.split(r"[/\\]", name or "")[-1].strip())
    return name if name.strip(".") else None


def _decoded(value: str) -> str | None:
    """The value of a ``filename*`` (RFC 8187)."""
    charset, _, rest = value.partition("'")
    try:
        return unquote(rest.partition("'")[2], encoding=charset or "utf-8", errors="replace")
    except LookupError:
        return None
