"""A request and an answer as they go over the wire."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

from attrs import field, frozen

from ._inputs import require_aware, require_unicode
from ._redact import NotPickled

HttpMethod: TypeAlias = Literal["GET", "POST"]
Lane: TypeAlias = Literal["calls", "tokens"]
FileContent: TypeAlias = "bytes | os.PathLike[str] | BinaryIO"
Body: TypeAlias = "bytes | tuple[FileContent, ...]"
DownloadTarget: TypeAlias = "str | os.PathLike[str] | BinaryIO"

MAX_DOWNLOAD_BYTES: Final = 1 << 30
"""Of a file, unless the caller says otherwise."""


@frozen
class File:
    """A file of an upload: streamed from where it is, and not signed.

    Args:
        content: ``bytes``, a path, or a file opened in binary mode (sent from where it stands).
        filename: the name the gateway sees; that of the path or file by default.
        content_type: a MIME type, ``application/octet-stream`` by default.

    Example::

        front = iop.File(b"any bytes", filename="front.png", content_type="image/png")
        await seller.call("/image/upload", files={"image": front})
    """

    content: FileContent = field(repr=False)
    filename: str = ""
    content_type: str = "application/octet-stream"

    def __attrs_post_init__(self) -> None:
        if isinstance(self.content, str):
            msg = "a file is bytes, a pathlib.Path or an open binary file; wrap a path in Path(...)"
            raise TypeError(msg)
        if isinstance(self.content, io.TextIOBase):
            msg = "the file is open in text mode; open it with mode 'rb'"
            raise TypeError(msg)
        if not isinstance(self.content, (bytes, os.PathLike)) and not hasattr(self.content, "read"):
            msg = (
                f"a file is bytes, a path or an open binary file, not {type(self.content).__name__}"
            )
            raise TypeError(msg)
        if not self.filename:
            is_path = isinstance(self.content, os.PathLike)
            source = self.content if is_path else getattr(self.content, "name", None)
            name = Path(source).name if isinstance(source, (str, os.PathLike)) else ""
            object.__setattr__(self, "filename", name or "file")
        for name in ("filename", "content_type"):
            require_unicode(f"the {name} of a file", getattr(self, name))


@frozen(kw_only=True)
class Downloaded:
    """What came of a download.

    Attributes:
        size: bytes that were written, so decoded ones.
        content_type: a MIME type, as the host names it; empty where it names none.
        filename: the name that the host gives the file, without folders; for people to read, and
            no path to write to.

    Example::

        label = await client.download(f"{url}/", "label.pdf")
        print(label.size, label.content_type, label.filename)
    """

    size: int
    content_type: str
    filename: str | None


@frozen(slots=False)
class HttpRequest(NotPickled):
    """A request as it goes over the wire; its URL and body hold secrets and are not shown.

    Attributes:
        body: ``bytes``, or the pieces of a multipart body in order, the files among them still
            unread.
        send_before: a moment of ``time.monotonic``, in seconds. The first byte goes out before it,
            or the request is not sent and the transport raises a retryable ``TransportError``
            with ``may_have_been_applied=False``. A process may stand still between any two of its
            steps, and go on when what it was about to send has become wrong: a refresh token, say,
            that another process was given to present meanwhile. ``None`` for any time.
        lane: ``tokens`` where the request is for a token: a transport has a few connections for
            these alone, so that a refresh never waits behind calls that hang.
        timeout: seconds for all of the exchange, from waiting for a connection on; after that a
            ``TransportTimeout``. Where a transport has limits of its own, the shortest counts.

    Example::

        request = gateway.encode(app, iop.Call("/order/get"), now=datetime.now(UTC))
        print(request.method, request.url, request.headers)
    """

    method: HttpMethod
    url: str = field(repr=lambda url: repr(url.partition("?")[0]))
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: Body = field(default=b"", repr=False)
    send_before: float | None = None
    lane: Lane = "calls"
    timeout: float | None = None


def _received(at: datetime | None) -> datetime:
    if at is None:
        return datetime.now(UTC)
    require_aware("received_at", at)
    return at


@frozen(slots=False)
class HttpResponse:
    """An answer as it came over the wire.

    Args:
        headers: names in lower case.
        received_at: when it came, by this machine's clock; the one value here that looks at it.

    Example::

        answer = iop.HttpResponse(200, {}, b'{"code": "0", "data": {"a": 1}}')
        assert gateway.decode(iop.Call("/order/get"), answer).data == {"a": 1}
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    received_at: datetime = field(
        default=None, converter=_received, eq=False, repr=False, kw_only=True
    )
