"""The status that each error of the tree has for whoever asked a web app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from math import ceil
from typing import Any, Final

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..._exceptions import (
    ApiError,
    BusinessFailure,
    ClockError,
    IopError,
    PermissionDenied,
    ReauthorizationRequired,
    RefreshAmbiguous,
    SignatureError,
    Throttled,
    TokenError,
    TransportError,
    TransportTimeout,
    UnknownSeller,
    WebhookMessageError,
    WebhookSignatureError,
)
from ..._logs import own_logger

_log = own_logger("iop_async.web")


@frozen
class _Answer:
    status: int
    words: str


_ANSWERS: Final[Mapping[type[IopError], _Answer]] = {
    IopError: _Answer(502, "The platform did not answer as it should."),
    TransportError: _Answer(502, "The platform cannot be reached."),
    TransportTimeout: _Answer(504, "The platform did not answer in time."),
    ApiError: _Answer(502, "The platform refused the call."),
    SignatureError: _Answer(500, "This service is set up wrongly."),
    ClockError: _Answer(500, "This service is set up wrongly."),
    PermissionDenied: _Answer(403, "This app, address or seller may not do that."),
    Throttled: _Answer(503, "The platform's limit of calls is reached; try again later."),
    BusinessFailure: _Answer(422, "The platform's business refused."),
    TokenError: _Answer(503, "This seller's access cannot be looked up now; try again later."),
    RefreshAmbiguous: _Answer(503, "This seller's access is being renewed; try again later."),
    ReauthorizationRequired: _Answer(409, "This seller must authorize the app again."),
    UnknownSeller: _Answer(404, "This seller has not authorized the app."),
    WebhookSignatureError: _Answer(401, "It is not signed by the platform."),
    WebhookMessageError: _Answer(400, "It is no message."),
}


def answer_to(error: IopError) -> Response:
    """A problem as RFC 9457 has it; none of the error's own words, which are for the log."""
    answer = next(_ANSWERS[cls] for cls in type(error).__mro__ if cls in _ANSWERS)
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": type(error).__name__,
        "status": answer.status,
        "detail": answer.words,
        "retryable": error.retryable,
        "seller_id": getattr(error, "seller_id", None),
        "code": getattr(error, "code", None),
        "request_id": getattr(error, "request_id", None),
    }
    if isinstance(error, BusinessFailure):
        problem |= {"code": error.failure.code, "reason": error.failure.message}
    headers = {"cache-control": "no-store"}
    if error.retry_after is not None and answer.status == 503:
        headers["retry-after"] = str(ceil(error.retry_after))
    content = {name: value for name, value in problem.items() if value is not None}
    return JSONResponse(content, answer.status, headers, media_type="application/problem+json")


async def _handle(request: Request, error: Exception) -> Response:
    if not isinstance(error, IopError):
        raise error
    response = answer_to(error)
    _log.warning(
        "%s %s: %d, %s: %s",
        request.method,
        request.url.path,
        response.status_code,
        type(error).__name__,
        error,
    )
    return response


def exception_handlers() -> dict[type[Exception], Callable[..., Awaitable[Response]]]:
    """Handlers for an app of Starlette or FastAPI: each error of the tree gets its status.

    What is the seller's to do is 404 (never authorized) or 409 (must again), what the business
    refuses 422, what passes by itself 503 or 504, with ``Retry-After`` where it is known; what the
    platform says otherwise 502. The answer is JSON, says what and not why, and has the platform's
    ``request_id``; the log says why. ::

        from starlette.applications import Starlette
        from iop_async.contrib.starlette import exception_handlers

        app = Starlette(exception_handlers=exception_handlers())
    """
    return {IopError: _handle}
