"""A transport that leaves nothing open."""

from __future__ import annotations

from .._transport import HttpxTransport
from .._wire import HttpRequest, HttpResponse


class FleetingTransport:
    """A connection for each request: slow, and at home in every event loop."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """One exchange over a connection of its own."""
        async with HttpxTransport(max_connections=1) as transport:
            return await transport.send(request)

    async def aclose(self) -> None:
        """Nothing is open."""
