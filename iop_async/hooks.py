"""What a client tells of its requests: values without secrets, for logs, metrics and traces.

A hook is a plain callable: ``Client(app, gateway, on_response=print)``. It runs in the event loop,
in the task of the call, so it is to be quick. What it raises is logged and goes no further: who
watches changes nothing.

Example::

    slow = []

    def note(response: iop.hooks.Response) -> None:
        if response.seconds > 2:
            slow.append(response.request.api)

    async with iop.Client(app, gateway, on_response=note) as client:
        await client.as_seller(token).call("/orders/get")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cached_property
from inspect import iscoroutinefunction
from time import monotonic
from typing import Any, Final, TypeAlias, TypeVar

from attrs import frozen

from ._exceptions import ApiError, BusinessFailure
from ._logs import own_logger
from ._models import Reply
from ._wire import HttpMethod, HttpRequest, HttpResponse, Lane

__all__ = ["OnRequest", "OnResponse", "OnRetry", "Request", "Response", "Retry"]

Value = TypeVar("Value")

_logger: Final = own_logger("iop_async")


@frozen(kw_only=True)
class Request:
    """A request that is about to be sent.

    Attributes:
        api: as it was called: ``/2.0/orders/{orderId}``, not filled in; ``batch`` for one.
        http_method: with which it goes out; a long ``GET`` is a ``POST``.
        url: without its query.
        lane: ``tokens`` for those that trade for tokens.
        attempt: 1 for a call's first try, 2 for the next.
        sent_at: when, by the client's clock (aware UTC).

    Example::

        def note(request: iop.hooks.Request) -> None:
            print(request.http_method, request.url, "try", request.attempt)

        client = iop.Client(app, gateway, on_request=note)
        await client.as_seller(token).call("/orders/get")
        await client.aclose()
    """

    api: str
    http_method: HttpMethod
    url: str
    lane: Lane
    attempt: int
    sent_at: datetime


@frozen(kw_only=True)
class Response:
    """What became of a request; each has one, be it that its task was cancelled.

    Attributes:
        request: the very value that ``on_request`` was given.
        seconds: from sending on, waiting for a connection included.
        status: the HTTP status; ``None`` where no answer came.
        request_id: what the platform's support asks for.
        error: the name of the class of what was raised, ``Throttled`` say; ``BusinessFailure``
            where the reply reports one, though that is no exception yet; ``None`` for a success.
        code: the code of the gateway or of the business, of an error.

    Example::

        def note(response: iop.hooks.Response) -> None:
            print(response.request.api, response.status, response.error, response.seconds)

        client = iop.Client(app, gateway, on_response=note)
        await client.as_seller(token).call("/orders/get")
        await client.aclose()
    """

    request: Request
    seconds: float
    status: int | None = None
    request_id: str | None = None
    error: str | None = None
    code: str | None = None


@frozen(kw_only=True)
class Retry:
    """A call that failed and is about to be tried again.

    Attributes:
        api: as it was called.
        attempt: the number of the try that begins now, from 2 on.
        waited: seconds since the failure.
        error, code: of the failure, as in :class:`Response`.

    Example::

        def note(retry: iop.hooks.Retry) -> None:
            print(retry.api, "again after", retry.error, retry.waited)

        client = iop.Client(app, gateway, on_retry=note)
    """

    api: str
    attempt: int
    waited: float
    error: str
    code: str | None = None


OnRequest: TypeAlias = Callable[[Request], object]
OnResponse: TypeAlias = Callable[[Response], object]
OnRetry: TypeAlias = Callable[[Retry], object]


@frozen
class Hooks:
    """Those of one client."""

    on_request: OnRequest | None = None
    on_response: OnResponse | None = None
    on_retry: OnRetry | None = None

    def __attrs_post_init__(self) -> None:
        for name in ("on_request", "on_response", "on_retry"):
            value: Any = getattr(self, name)
            if value is not None and (not callable(value) or iscoroutinefunction(value)):
                msg = f"{name} is {value!r}; a hook is a plain callable of one value"
                raise TypeError(msg)

    @cached_property
    def are_any(self) -> bool:
        """Whether there is anybody to tell."""
        return any((self.on_request, self.on_response, self.on_retry))


class Watch:
    """Tells the hooks of one call, try by try."""

    def __init__(self, hooks: Hooks, api: str, lane: Lane) -> None:
        self._hooks = hooks
        self._api, self._lane = api, lane
        self._attempts = 0
        self._failure: tuple[float, str, str | None] | None = None
        self._request: Request | None = None
        self._status: int | None = None
        self._began = 0.0

    async def attempt(
        self, attempt: Callable[[float | None], Awaitable[Value]], seconds: float | None
    ) -> Value:
        """One try, from before its request is made: a reply, or those of a batch."""
        self._attempts += 1
        self._request = self._status = None
        self._tell_of_retry()
        try:
            result = await attempt(seconds)
        except BaseException as error:
            name = type(error).__name__
            code, request_id = None, None
            if isinstance(error, ApiError):
                code, request_id = error.code, error.request_id
            self._failure = (monotonic(), name, code)
            self._respond(request_id=request_id, error=name, code=code)
            raise
        self._succeed(result if isinstance(result, Reply) else None)
        return result

    def sending(self, request: HttpRequest, sent_at: datetime) -> None:
        """The request is about to be sent."""
        self._request = Request(
            api=self._api,
            http_method=request.method,
            url=request.url.partition("?")[0],
            lane=self._lane,
            attempt=self._attempts,
            sent_at=sent_at,
        )
        self._began = monotonic()
        _tell(self._hooks.on_request, self._request)

    def received(self, response: HttpResponse) -> None:
        """Its answer came, and is not read yet."""
        self._status = response.status

    def _succeed(self, reply: Reply | None) -> None:
        failure = reply.failure if reply is not None else None
        self._respond(
            request_id=reply.request_id if reply is not None else None,
            error=BusinessFailure.__name__ if failure is not None else None,
            code=failure.code if failure is not None else None,
        )

    def _tell_of_retry(self) -> None:
        if self._failure is not None and self._hooks.on_retry is not None:
            at, error, code = self._failure
            waited = monotonic() - at
            told = Retry(
                api=self._api, attempt=self._attempts, waited=waited, error=error, code=code
            )
            _tell(self._hooks.on_retry, told)

    def _respond(self, **facts: str | None) -> None:
        if self._request is not None and self._hooks.on_response is not None:
            seconds = monotonic() - self._began
            told = Response(request=self._request, seconds=seconds, status=self._status, **facts)
            _tell(self._hooks.on_response, told)


def _tell(hook: Callable[[Value], object] | None, value: Value) -> None:
    if hook is None:
        return
    try:
        hook(value)
    except Exception:
        _logger.exception("a hook of the client failed at %s", value)
