"""The ASGI app: gateway calls straight to the gateway, everything else through Starlette."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ._dialect import Dialect
from ._gateway import serve_request
from ._guard import guard
from ._iop.dialects import REST, SYNC
from ._pages import consent, panel
from ._sandbox import Sandbox
from ._top.dialects import BATCH, ROUTER

# DOC:120692 (/rest, /sync), DOC:101617 (/router/rest), DOC:104350 (/router/batch).
_DIALECTS: Final[Mapping[str, Dialect]] = {
    "/rest": REST,
    "/sync": SYNC,
    "/router/rest": ROUTER,
    "/api": ROUTER,  # of the documentation of taobao.top.sec.token.get
    "/router/batch": BATCH,
}


def create_app(sandbox: Sandbox, *, is_local: bool = False) -> ASGIApp:
    """The sandbox as an ASGI app, for any server or an in-process client.

    A fault that ends the connection needs the sandbox's own server; elsewhere it raises
    :class:`ConnectionAbortedError` out of the app, after half an answer or none.

    Example::

        from iop_async.sandbox import Sandbox, create_app

        asgi_app = create_app(Sandbox())  # uvicorn module:asgi_app
    """
    pages = guard(_pages(sandbox), is_local=is_local)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = sandbox.clock.http_date().encode()
                message["headers"] = [*message.get("headers", ()), (b"date", date)]
            await send(message)

        dialect = _find_dialect(scope["path"]) if scope["type"] == "http" else None
        if dialect is None:
            await pages(scope, receive, send_with_date)
        else:
            await serve_request(sandbox, dialect, scope, receive, send)

    return app


def _find_dialect(path: str) -> Dialect | None:
    return REST if path.startswith("/rest/") else _DIALECTS.get(path.rstrip("/"))


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
                Route(f"/_sandbox/{name}", bound(panel.run_action), methods=[method])
                for method, name in panel.ACTIONS
            ),
        ]
    )


async def _to_panel(_request: Request) -> Response:
    return RedirectResponse("/_sandbox/")
