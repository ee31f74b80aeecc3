"""Spans and metrics of OpenTelemetry for the requests of a client; needs the extra ``otel``.

Names and attributes are those of the stable semantic conventions of HTTP clients, with a few of
this library's (``iop.*``) beside them. Nothing in them is a secret: URLs have no query.

Example::

    from iop_async.contrib.otel import Telemetry

    client = iop.Client(app, gateway, on_response=Telemetry().on_response)
"""

from __future__ import annotations

from time import time_ns
from typing import Final
from urllib.parse import urlsplit

try:
    from opentelemetry import metrics, trace
except ImportError as _error:
    msg = "iop_async.contrib.otel needs opentelemetry-api: pip install 'iop-async[otel]'"
    raise ImportError(msg, name="opentelemetry") from _error

from ..hooks import Response, Retry

_NAME: Final = "iop_async"
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
_PORTS: Final = {"http": 80, "https": 443}
# Of the semantic convention of http.client.request.duration.
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Telemetry:
    """Hooks of a client that make spans and metrics of what they are told.

    ::

        from iop_async.contrib.otel import Telemetry

        telemetry = Telemetry()
        hooks = {"on_response": telemetry.on_response, "on_retry": telemetry.on_retry}
        async with iop.Client(app, gateway, **hooks) as client:
            await client.as_seller(token).call("/orders/get")

    - A span of kind ``CLIENT`` for each request, ``POST /order/get``, below the span that is
      current where the call is made; each try of a call has its own, the second with
      ``http.request.resend_count`` 1. ``error.type`` is the class of what was raised,
      ``url.template`` the path with the names of its parameters, ``iop.api`` the API as called:
      both have few values.
    - The histogram ``http.client.request.duration`` in seconds, and the counter
      ``iop.client.retries``.

    Args:
        tracer_provider, meter_provider: the global ones by default.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, None, tracer_provider, schema_url=_SCHEMA)
        meter = metrics.get_meter(_NAME, "", meter_provider, schema_url=_SCHEMA)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._retries = meter.create_counter(
            "iop.client.retries", unit="{retry}", description="Calls that were tried again."
        )

    def on_response(self, response: Response) -> None:
        """A span that ends now, and its duration."""
        request = response.request
        attributes = _attributes(response)
        self._duration.record(response.seconds, attributes)
        ended = time_ns()
        span = self._tracer.start_span(
            f"{request.http_method} {request.api}",
            kind=trace.SpanKind.CLIENT,
            attributes={**attributes, **_details(response)},
            start_time=ended - int(response.seconds * 1e9),
        )
        if response.error is not None:
            span.set_status(trace.StatusCode.ERROR)
        span.end(ended)

    def on_retry(self, retry: Retry) -> None:
        """One more in the count."""
        self._retries.add(1, {"iop.api": retry.api, "error.type": retry.error})


def _attributes(response: Response) -> dict[str, str | int]:
    """Of few values each, so that a metric may have them."""
    request = response.request
    url = urlsplit(request.url)
    attributes: dict[str, str | int] = {
        "http.request.method": request.http_method,
        "server.address": url.hostname or "",
        "server.port": url.port or _PORTS.get(url.scheme, 0),
        "url.scheme": url.scheme,
        "iop.api": request.api,
    }
    if response.status is not None:
        attributes["http.response.status_code"] = response.status
    if response.error is not None:
        attributes["error.type"] = response.error
    return attributes


def _template(path: str, api: str) -> str:
    """The path of a URL with the names of the parameters in it, ``/rest/2.0/orders/{orderId}``.

    A dotted name is in no path, which is the same for all of them.
    """
    return path.rsplit("/", api.count("/"))[0] + api if api.startswith("/") else path


def _details(response: Response) -> dict[str, str | int]:
    """Of a span alone."""
    request = response.request
    path = urlsplit(request.url).path
    details: dict[str, str | int] = {
        "url.full": request.url,
        "url.template": _template(path, request.api),
    }
    if request.attempt > 1:
        details["http.request.resend_count"] = request.attempt - 1
    if response.request_id is not None:
        details["iop.request_id"] = response.request_id
    if response.code is not None:
        details["iop.error.code"] = response.code
    return details
