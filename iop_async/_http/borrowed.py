"""Requests over a client of the user's: an ``httpx.AsyncClient``, or one of its fork httpx2."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Protocol

import anyio

from .incoming import Incoming
from .outgoing import Outgoing
from .send_by import require_time
from .streams import CLOSE_WITHIN, Upload


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
        self._url_class: Any = type("MaskedURL", (_MaskedURL, self._library.URL), {})
        self._stream_class: Any = type("Stream", (_Stream, self._library.AsyncByteStream), {})
        self._timeouts = timeouts

    async def carry(self, outgoing: Outgoing) -> Incoming:
        """One exchange. Raises what the client raises."""
        require_time()
        response = await self._client.send(
            self._request(outgoing), stream=True, auth=None, follow_redirects=False
        )
        outgoing.begun = True
        try:
            was_read = response.is_stream_consumed  # by a hook of the client's, say
            incoming = Incoming(
                response.status_code, response.headers.raw, outgoing.limit, decoded=was_read
            )
            if was_read:
                incoming.feed(response.content)
            else:
                await incoming.read(response.aiter_raw(), response.aclose)
        finally:
            with anyio.move_on_after(CLOSE_WITHIN, shield=True):
                await response.aclose()
        return incoming

    def _request(self, outgoing: Outgoing) -> Any:
        async def trace(event: str, _info: object) -> None:
            if event.startswith("connection.connect_"):
                outgoing.begun = False
            elif event.endswith("send_request_headers.started"):
                outgoing.begun = True

        content = outgoing.content
        url = self._url_class(outgoing.base, outgoing.target)
        request = self._library.Request(
            outgoing.method,
            url,
            headers=outgoing.headers,
            content=content if isinstance(content, bytes) else None,
            stream=None if isinstance(content, bytes) else self._stream_class(content),
            extensions={"timeout": self._timeouts, "trace": trace},
        )
        request.url = url  # the request made a plain copy of it
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


class _MaskedURL:
    """A URL whose text hides the query: httpx and its instrumentations log the text of URLs.

    A mix-in for the library's own class. Transports take the target from ``raw_path``.
    """

    def __init__(self, base: str, target: bytes) -> None:
        path, mark, query = target.partition(b"?")
        super().__init__(f"{base}{path.decode()}{'?***' if mark else ''}")  # type: ignore[call-arg]
        self._target = target
        self._query = query

    @property
    def raw_path(self) -> bytes:
        return self._target

    @property
    def query(self) -> bytes:
        return self._query


class _Stream:
    """An upload as the library takes one. A mix-in for the library's own class.

    Without it the library would wrap the upload in an async generator, and leave that suspended
    where a request ends early.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __aiter__(self) -> Upload:
        return self._upload
