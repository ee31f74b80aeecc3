"""Requests over a client of the user's: an ``httpx.AsyncClient``, or one of its fork httpx2."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final, Protocol

import anyio

from .._redact import MASK, is_secret
from .messages import Chunks, Outgoing, ReceivedAnswer, require_time
from .streams import CLOSE_TIMEOUT, Upload


class AsyncClient(Protocol):
    """The class of this name in httpx, or in a fork of it."""

    async def send(self, request: Any, *, stream: bool, auth: None, follow_redirects: bool) -> Any:
        """As in httpx."""
        ...


class ClientRoute:
    """Carries requests through a client that somebody else owns.

    Requests are made here and not by the client, which would merge its own parameters, cookies
    and headers into what was signed.
    """

    def __init__(self, client: AsyncClient, timeouts: Mapping[str, float | None]) -> None:
        self._client = client
        self._library: Any = _library_of(client)
        url_members = {"_params_class": self._library.QueryParams}
        self._url_class: Any = type("MaskedURL", (_MaskedURL, self._library.URL), url_members)
        self._stream_class: Any = type("Stream", (_Stream, self._library.AsyncByteStream), {})
        self._bytes_class: Any = type("Bytes", (_Bytes, self._library.ByteStream), {})
        self._timeouts = timeouts

    @property
    def max_connections(self) -> int:
        """The limit of the client as far as can be seen; it has no public way to tell."""
        pool = getattr(getattr(self._client, "_transport", None), "_pool", None)
        limit = getattr(pool, "_max_connections", sys.maxsize)
        return limit if isinstance(limit, int) else sys.maxsize

    async def carry(self, outgoing: Outgoing) -> ReceivedAnswer:
        """One exchange. Raises what the client raises."""
        require_time(outgoing.send_before)
        outgoing.begun = True  # as far as is known: not every transport traces
        timeouts = dict(self._timeouts)
        request = self._request(outgoing, timeouts)
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        was_read = response.is_stream_consumed  # by a hook of the client's, say
        answer = outgoing.begin_answer(
            ReceivedAnswer(
                response.status_code, response.headers.raw, outgoing.limit, decoded=was_read
            )
        )
        try:
            if was_read:
                await answer.read(Chunks(response.content), response.aclose)
            else:
                read = self._timeouts["read"] if timeouts["read"] is None else None
                await answer.read(
                    response.aiter_raw(), response.aclose, lambda: outgoing.expect(read)
                )
        finally:
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await response.aclose()
        return answer

    def _request(self, outgoing: Outgoing, timeouts: dict[str, float | None]) -> Any:
        async def trace(event: str, _info: object) -> None:
            # The library's own read timeout does not look at what has arrived once it is over. A
            # deadline of ours does, and learns from these events when to begin.
            timeouts["read"] = None
            if event.endswith("receive_response_headers.started"):
                outgoing.expect(self._timeouts["read"])
            elif event.endswith("receive_response_headers.complete"):
                outgoing.expect(None)
            elif event.startswith("connection.connect_"):
                outgoing.begun = False
            elif event.endswith("send_request_headers.started"):
                # once more: the client may have waited for a connection, or made one
                require_time(outgoing.send_before)
                outgoing.begun = True

        content = outgoing.content
        url = self._url_class(outgoing.base, outgoing.target, hide=outgoing.streams)
        request = self._library.Request(
            outgoing.method,
            url,
            headers=outgoing.headers,
            content=content if isinstance(content, bytes) else None,
            stream=None if isinstance(content, bytes) else self._stream_class(content),
            extensions={"timeout": timeouts, "trace": trace},
        )
        request.url = url  # the request made a plain copy of it
        if isinstance(content, bytes):
            request.stream = self._bytes_class(content)
        return request

    async def aclose(self) -> None:
        """Leave the client to its owner."""


def _library_of(client: object) -> ModuleType:
    for cls in type(client).__mro__:
        library = sys.modules[cls.__module__.partition(".")[0]]
        if cls.__name__ == "AsyncClient" and hasattr(library, "Request"):
            return library
    msg = f"client is a {type(client).__name__}; give an httpx.AsyncClient"
    raise TypeError(msg)


_LONGEST_SHOWN: Final = 8192
"""Characters of a query that are put into the text of a URL: httpx takes no more than 64 KiB."""


class _MaskedURL:
    """A URL whose text hides its secrets: httpx and its instrumentations log the text of URLs.

    A mix-in for the library's own class. Transports take the target from ``raw_path``.
    """

    _params_class: Any

    def __init__(self, base: str, target: bytes, *, hide: bool) -> None:
        path, mark, query = target.partition(b"?")
        masked = MASK if query and hide else _masked(path.decode(), query.decode())
        shown = f"{base}{path.decode()}{mark.decode()}{masked}"
        super().__init__(shown)  # type: ignore[call-arg]
        self._target = target
        self._query = query

    @property
    def raw_path(self) -> bytes:
        return self._target

    @property
    def query(self) -> bytes:
        return self._query

    @property
    def params(self) -> Any:
        """The parameters that are sent: mocks of httpx match by them."""
        return self._params_class(self._query.decode())


def _masked(path: str, query: str) -> str:
    if len(query) > _LONGEST_SHOWN:
        return MASK
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(
        f"{name}{mark}{MASK if is_secret(path, name) else value}" for name, mark, value in pairs
    )


class _Bytes:
    """Bytes as the library takes them. A mix-in for the library's own class.

    That one is an async generator each time it is iterated; see :class:`Chunks`.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(content)  # type: ignore[call-arg]
        self._content = content

    def __aiter__(self) -> Chunks:
        return Chunks(self._content)


class _Stream:
    """An upload as the library takes one. A mix-in for the library's own class.

    Without it the library would wrap the upload in an async generator, and leave that suspended
    where a request ends early.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __aiter__(self) -> Upload:
        return self._upload
