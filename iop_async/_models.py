"""The values that travel between the rooms: all frozen, none of them shows a secret."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, SupportsIndex, TypeAlias

from attrs import field, frozen

from ._redact import Secret

HttpMethod: TypeAlias = Literal["GET", "POST"]
FileContent: TypeAlias = "bytes | os.PathLike[str] | BinaryIO"
Body: TypeAlias = "bytes | tuple[FileContent, ...]"


_API = re.compile(r"(?:/\w[\w.~-]*)+/?|\w+(?:\.\w+)+", re.ASCII)


def _secret(value: str | None) -> str | None:
    return Secret(value) if isinstance(value, str) else value


def _in_utc(value: datetime | None) -> datetime | None:
    """The same moment in UTC: arithmetic within a zone of summer time gains or loses an hour."""
    is_aware = isinstance(value, datetime) and value.utcoffset() is not None
    return value.astimezone(UTC) if value is not None and is_aware else value


def require_aware(name: str, value: datetime | None) -> None:
    """Raises ``ValueError`` for a naive datetime: every time in this library is aware."""
    if value is not None and value.utcoffset() is None:
        msg = f"{name} is a naive datetime; give it a time zone, such as datetime.now(UTC)"
        raise ValueError(msg)


class NotPickled:
    """Refuses to be pickled or copied: a pickle is clear text."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> NoReturn:
        msg = f"{type(self).__name__} holds secrets and is not pickled or copied"
        raise TypeError(msg)


@frozen
class App(NotPickled):
    """An application registered on an open platform.

    Args:
        key: the app key, public.
        secret: the app secret that signs every call; in no ``repr`` and in no pickle.
    """

    key: str = field()
    secret: str = field(converter=_secret, repr=False)

    def __attrs_post_init__(self) -> None:
        for name, value in (("key", self.key), ("secret", self.secret)):
            if not isinstance(value, str) or not value.strip():
                msg = f"App {name} is empty; copy it from the app's page in the platform's console"
                raise ValueError(msg)


@frozen
class File:
    """A file of an upload: streamed from where it is, and not signed.

    Args:
        content: ``bytes``, a path, or a file opened in binary mode (sent from where it stands).
        filename: the name the gateway sees; that of the path or file by default.
        content_type: a MIME type, ``application/octet-stream`` by default.
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


def _files(files: Mapping[str, File | FileContent] | None) -> dict[str, File]:
    return {
        name: content if isinstance(content, File) else File(content)
        for name, content in (files or {}).items()
    }


def _params(params: Mapping[str, object] | None) -> Mapping[str, object]:
    return {} if params is None else params


@frozen
class Call:
    """One call of one API, before any dialect has put it into a request.

    Args:
        api: a path (``/order/get``) or a dotted name (``aliexpress.solution.order.get``).
        params: business parameters; see the gateways for how values become text.
        http_method: ``GET`` becomes ``POST`` where there are files or the URL would grow long.
        files: name to :class:`File`, ``bytes``, path or open binary file.
        access_token: the seller's token, for calls that need one.
        idempotent: whether repeating the call is harmless; ``None`` where nobody said.
        simplify: ask for the answer without its wrapper; ``None`` leaves it to the gateway.
    """

    api: str
    params: Mapping[str, object] = field(
        default=None, converter=_params, repr=lambda params: repr(sorted(params))
    )
    http_method: HttpMethod = field(default="POST", kw_only=True)
    files: Mapping[str, File] = field(default=None, converter=_files, kw_only=True)
    access_token: str | None = field(default=None, converter=_secret, kw_only=True, repr=False)
    idempotent: bool | None = field(default=None, kw_only=True)
    simplify: bool | None = field(default=None, kw_only=True)

    @property
    def is_path(self) -> bool:
        """Whether the API is named by a path, which is then part of what is signed."""
        return self.api.startswith("/")

    def __attrs_post_init__(self) -> None:
        if not _API.fullmatch(self.api):
            msg = f"{self.api!r} is no API; give a path like '/order/get' or a name like 'a.b.get'"
            raise ValueError(msg)
        if self.http_method not in ("GET", "POST"):
            msg = f"http_method is {self.http_method!r}; the gateways take 'GET' or 'POST'"
            raise ValueError(msg)
        if self.access_token is not None and not self.access_token.strip():
            msg = "the access token is empty; leave it out, or authorize the seller first"
            raise ValueError(msg)


@frozen
class HttpRequest:
    """A request as it goes over the wire; its URL and body hold secrets and are not shown.

    ``body`` is ``bytes``, or the pieces of a multipart body in order, the files among them still
    unread.
    """

    method: HttpMethod
    url: str = field(repr=lambda url: repr(url.partition("?")[0]))
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: Body = field(default=b"", repr=False)


@frozen
class HttpResponse:
    """An answer as it came over the wire. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


@frozen
class Failure:
    """A business failure inside an answer that the gateway itself calls a success."""

    code: str
    message: str


@frozen
class Reply:
    """A successful answer.

    Attributes:
        data: the payload: what stands under ``data``, else under ``result``, else every field
            that is not the envelope's own.
        body: the whole decoded answer, as the gateway sent it.
        request_id: what the platform's support asks for.
        failure: what the business behind the gateway reports as failed, if anything: the gateway
            answers ``code: "0"`` all the same.
        sent_at: when the request was sent (aware UTC); lifetimes in the answer count from it.
        response: the HTTP answer itself.
    """

    data: Any = field(repr=False)
    body: Any = field(default=None, repr=False)
    request_id: str | None = None
    failure: Failure | None = None
    sent_at: datetime | None = None
    response: HttpResponse | None = None

    @property
    def failed(self) -> bool:
        """Whether the business behind the gateway reports a failure; see ``failure``."""
        return self.failure is not None


@frozen
class Seller:
    """One shop that a token serves; a cross-border token serves one in each venture."""

    country: str | None = None
    seller_id: str | None = None
    user_id: str | None = None
    short_code: str | None = None


@frozen(kw_only=True)
class Token(NotPickled):
    """A grant: what a seller allowed an app to do, and until when.

    All times are aware UTC datetimes, counted from the moment the request was sent.

    Attributes:
        access_token: signs into business calls.
        refresh_token: trades for a new pair, as long as :attr:`refreshable`.
        issued_at: when the request that brought this token was sent.
        expires_at: end of the access token; ``None`` where the gateway gave no readable lifetime,
            which means *unknown*, never *does not expire*.
        refresh_expires_at: end of the refresh token, which a refresh does not move; ``None`` where
            unknown. A lifetime of zero, the platform's way to say "cannot be refreshed", gives
            ``issued_at``.
        sellers: the shops served.
        account: login name of the seller.
        account_id: missing for ``account_platform="seller_center"``.
        account_platform: for example ``seller_center``.
        country: venture, ``cb`` for a cross-border token.
        extra: every other field of the answer, verbatim.
    """

    access_token: str = field(converter=_secret, repr=False)
    refresh_token: str | None = field(default=None, converter=_secret, repr=False)
    issued_at: datetime = field(converter=_in_utc)
    expires_at: datetime | None = field(default=None, converter=_in_utc)
    refresh_expires_at: datetime | None = field(default=None, converter=_in_utc)
    sellers: tuple[Seller, ...] = ()
    account: str | None = None
    account_id: str | None = None
    account_platform: str | None = None
    country: str | None = None
    extra: Mapping[str, Any] = field(factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.access_token, str) or not self.access_token.strip():
            msg = "a token without an access_token is no token"
            raise ValueError(msg)
        for name in ("issued_at", "expires_at", "refresh_expires_at"):
            require_aware(name, getattr(self, name))

    @property
    def seller_id(self) -> str | None:
        """The first shop's seller id, which names the grant."""
        return self.sellers[0].seller_id if self.sellers else None

    @property
    def refreshable(self) -> bool:
        """Whether the gateway ever allows a refresh; a lifetime of zero says it never does."""
        no_lifetime = self.refresh_expires_at is not None and (
            self.refresh_expires_at <= self.issued_at
        )
        return bool(self.refresh_token) and not no_lifetime

    def expires_in(self, now: datetime) -> timedelta | None:
        """What is left of the access token at ``now`` (aware); ``None`` where unknown."""
        return None if self.expires_at is None else self.expires_at - now
