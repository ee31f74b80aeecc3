"""The ASGI app: gateway calls straight to the gateway, everything else through Starlette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._endpoints import dialect_of
from ._gateway import serve_request
from ._pages import consent, panel
from ._sandbox import Sandbox


def create_app(sandbox: Sandbox) -> ASGIApp:
    """The sandbox as an ASGI app, for any server or an in-process client.

    A fault that ends the connection needs the sandbox's own server; elsewhere it raises
    :class:`ConnectionAbortedError` out of the app, after half an answer or none.
    """
    pages = _pages(sandbox)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(sandbox.clock.wall(), usegmt=True).encode()
                message["headers"] = [*message.get("headers", ()), (b"date", date)]
            await send(message)

        dialect = dialect_of(scope["path"]) if scope["type"] == "http" else None
        if dialect is None:
            await pages(scope, receive, dated)
        else:
            await serve_request(sandbox, dialect, scope, receive, dated)

    return app


def _pages(sandbox: Sandbox) -> ASGIApp:
    def bound(
        page: Callable[[Sandbox, Request], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await page(sandbox, request)

        return endpoint

    return Starlette(
        routes=[
            Route("/", _to_panel),
            *(
                Route(path, bound(page), methods=[method])
                for path in consent.PATHS
                for method, page in (("GET", consent.show), ("POST", consent.decide))
            ),
            Route("/_sandbox/", bound(panel.home)),
            *(
                Route(f"/_sandbox/{name}", bound(panel.act), methods=[method])
                for method, name in panel.ACTIONS
            ),
        ]
    )


async def _to_panel(_request: Request) -> Response:
    return RedirectResponse("/_sandbox/")
