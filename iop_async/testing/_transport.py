"""Transports for tests: one that sends nothing, one that leaves nothing open."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from typing import Any, TypeAlias

from .._exceptions import ProtocolError
from .._http.downloads import download
from .._http.links import Link
from .._http.targets import Target
from .._scrub import scrubs_frames
from .._transport import HttpxTransport
from .._wire import (
    MAX_DOWNLOAD_BYTES,
    Downloaded,
    DownloadTarget,
    HttpRequest,
    HttpResponse,
)

Answer: TypeAlias = HttpResponse | BaseException | Mapping[str, Any]
Answers: TypeAlias = Answer | Callable[[HttpRequest], Answer | Awaitable[Answer]]


class FakeTransport:
    """Answers requests without sending them, and remembers them.

    Where a :class:`~iop_async.testing.FakeCaller` stands in the place of a client, this stands
    below one: signing, retries, limits and decoding are the real ones. Mocks of HTTP libraries see
    no :class:`~iop_async.FastTransport`; this is what takes its place in tests.

    Args:
        answers: what comes back for every request: a dict, which is sent as JSON with status 200, a
            whole :class:`~iop_async.HttpResponse`, an exception to raise, or a callable that is
            given the request and returns one of those, or awaits it.

    Attributes:
        requests: every request so far, as a :class:`~iop_async.HttpRequest`.

    Example::

        from iop_async.testing import FakeTransport

        transport = FakeTransport({"code": "0", "data": {"order_id": 42}})
        async with iop.Client(app, gateway, transport=transport) as client:
            reply = await client.call("/order/get", {"order_id": 42})
    """

    def __init__(self, answers: Answers) -> None:
        self.requests: list[HttpRequest] = []
        self._answers = answers

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Remember a request, and answer it."""
        self.requests.append(request)
        answer: Any = self._answers
        if callable(answer):
            answer = answer(request)
        if isawaitable(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer.with_traceback(None)  # it may be raised again, and would grow each time
        if isinstance(answer, HttpResponse):
            return answer
        content = json.dumps(answer).encode()
        return HttpResponse(200, {"content-type": "application/json"}, content)

    @scrubs_frames
    async def download(
        self,
        url: str,
        to: DownloadTarget,
        *,
        max_bytes: int = MAX_DOWNLOAD_BYTES,
        timeout: float | None = None,  # noqa: ASYNC109 - nothing is waited for
        allow_http: bool = False,
    ) -> Downloaded:
        """Answer a request for a link; the content of an answer of status 200 is the file."""

        async def exchange(link: Link, target: Target) -> HttpResponse:
            answer = await self.send(HttpRequest("GET", link.url))
            if len(answer.content) > max_bytes:
                msg = f"{link.where}: HTTP {answer.status}, larger than {max_bytes} bytes"
                raise ProtocolError(msg, status=answer.status)
            if answer.status == 200:
                await target.run(target.write, answer.content)
            return answer

        return await download(
            url, to, exchange, max_bytes=max_bytes, timeout=timeout, allow_http=allow_http
        )

    async def aclose(self) -> None:
        """Nothing is open."""

    def __repr__(self) -> str:
        return f"FakeTransport({len(self.requests)} requests)"


class FleetingTransport:
    """A connection for each request: slow, and at home in every event loop."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """One exchange over a connection of its own."""
        async with HttpxTransport(max_connections=1) as transport:
            return await transport.send(request)

    async def aclose(self) -> None:
        """Nothing is open."""
