"""What a keeper serves: probes, metrics and, where it is asked for, the dashboard."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ...tokens import Health
from .dashboard import render
from .watch import Watch

_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STATIC: Final = {
    "dashboard.css": "text/css",
    "dashboard.js": "text/javascript",
}
_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"
_LOCAL: Final = ("localhost", "127.0.0.1", "[::1]", "::1")


def make_app(watch: Watch, *, has_dashboard: bool, is_local: bool) -> ASGIApp:
    """The pages.

    Args:
        is_local: only this machine is to read them: a web page that a browser here looks at, and
            whose host name it was led to take for this machine's, is refused.
    """
    routes = [
        Route("/livez", _live),
        Route("/healthz", partial(_healthy, watch)),
        Route("/metrics", partial(_metrics, watch)),
    ]
    if has_dashboard:
        routes += [
            Route("/", _to_dashboard),
            Route("/dashboard", partial(_dashboard, watch)),
            *(Route(f"/{name}", partial(_static, name)) for name in _STATIC),
        ]
    guard = [Middleware(TrustedHostMiddleware, allowed_hosts=_LOCAL)] if is_local else []
    return Starlette(routes=routes, middleware=guard)


async def _live(_request: Request) -> Response:
    """That the event loop answers, and nothing else: for whoever restarts what does not."""
    return JSONResponse({"status": "alive"}, headers=_HEADERS)


async def _healthy(watch: Watch, _request: Request) -> Response:
    health = await watch.health()
    is_well = watch.phase == "keeping" and health is not None and health.is_healthy
    return JSONResponse(_facts(watch, health), 200 if is_well else 503, headers=_HEADERS)


def _facts(watch: Watch, health: Health | None) -> dict[str, Any]:
    if health is None:
        return {"status": watch.phase}
    death = health.nearest_death
    verdict = "ok" if health.is_healthy else "problem"
    return {
        "status": verdict if watch.phase == "keeping" else watch.phase,
        "problems": list(health.problems),
        "store": not health.store_error,
        "keeper": health.keeper,
        "unpersisted": health.unpersisted,
        "in_memory_only": health.in_memory_only,
        "refreshing": health.refreshing,
        "held_up_by": health.held_up_by,
        "overdue_seconds": health.overdue,
        "nearest_death": None if death is None else death.isoformat(),
    }


async def _metrics(watch: Watch, _request: Request) -> Response:
    health = await watch.health()
    is_up = watch.phase == "keeping"
    body = watch.metrics.render(health, is_up=is_up, missed=watch.stream.missed)
    return Response(body, headers={**_HEADERS, "content-type": _METRICS})


async def _to_dashboard(_request: Request) -> Response:
    return RedirectResponse("/dashboard")


async def _dashboard(watch: Watch, _request: Request) -> Response:
    return HTMLResponse(render(watch, await watch.health()), headers=_HEADERS)


async def _static(name: str, _request: Request) -> Response:
    text = files(__package__).joinpath("static", name).read_bytes()
    return Response(text, media_type=_STATIC[name], headers=_HEADERS)
