"""Spans and metrics of a client's requests, by the conventions, with no secret in any."""

import sys
from contextlib import suppress

import pytest
from loopback import answer
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import iop_async as iop
from iop_async.contrib.otel import Telemetry

CANARY = "50000601c30canary3mSoB7701"


class Observed:
    """A client's telemetry, kept in memory."""

    def __init__(self):
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        telemetry = Telemetry(tracer_provider=self.tracers, meter_provider=meters)
        self.options = {"on_response": telemetry.on_response, "on_retry": telemetry.on_retry}

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    @property
    def metrics(self):
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def observed():
    return Observed()


async def test_a_request_is_a_client_span_below_the_callers(app, gateway, observed):
    """With what the conventions ask of an HTTP client."""
    tracer = observed.tracers.get_tracer("test")
    async with iop.Client(app, gateway, **observed.options) as client:
        with tracer.start_as_current_span("page") as page:
            reply = await client.call("/sandbox/echo", {"a": 1})
    span, _ = observed.spans
    url, _, port = gateway.base_url.removesuffix("/rest").rpartition(":")
    assert (span.name, span.kind) == ("POST /sandbox/echo", SpanKind.CLIENT)
    assert span.parent.span_id == page.get_span_context().span_id
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": url.removeprefix("http://"),
        "server.port": int(port),
        "url.scheme": "http",
        "url.full": f"{gateway.base_url}/sandbox/echo",
        "url.template": "/rest/sandbox/echo",
        "iop.api": "/sandbox/echo",
        "iop.request_id": reply.request_id,
    }
    assert span.end_time - span.start_time >= 0


@pytest.mark.parametrize(
    ("gateway_at", "api", "path", "template"),
    [
        (
            iop.gateways.Iop,
            "/2.0/orders/{orderId}/items/{id}",
            "/rest/2.0/orders/42/items/a-b",
            "/rest/2.0/orders/{orderId}/items/{id}",
        ),
        (iop.gateways.Iop, "aliexpress.order.get", "/sync", "/sync"),
        (
            lambda base: iop.gateways.Top(f"{base}/router/rest"),
            "a.b",
            "/router/rest",
            "/router/rest",
        ),
    ],
    ids=["REST 2.0", "dotted", "TOP"],
)
async def test_a_template_has_few_values(app, server, observed, gateway_at, api, path, template):
    """The names of a path's parameters and not their values; a span is named by the API."""
    server.respond = lambda received, writer: answer(b'{"code":"0","data":{}}')
    async with iop.Client(app, gateway_at(server.base), **observed.options) as client:
        with suppress(iop.ProtocolError):  # no envelope to TOP
            await client.call(api, {"orderId": 42, "id": "a-b"}, idempotent=False)
    (span,) = observed.spans
    assert span.name == f"POST {api}"
    assert span.attributes["url.template"] == template
    assert span.attributes["url.full"] == f"{server.base}{path}"


async def test_each_try_is_a_span_and_is_counted(app, server, observed):
    """A failed one with its error, a later one with its number."""
    answers = iter([answer(b"{}", "503 Busy"), None, answer(b'{"code":"0"}')])
    server.respond = lambda received, writer: next(answers)
    async with iop.Client(app, iop.gateways.Iop(server.base), **observed.options) as client:
        await client.call("/order/get")
    errors = [span.attributes.get("error.type") for span in observed.spans]
    assert errors == ["ServiceError", "TransportError", None]
    resent = [span.attributes.get("http.request.resend_count") for span in observed.spans]
    assert resent == [None, 1, 2]
    assert [span.status.status_code for span in observed.spans] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]
    retries = observed.metrics["iop.client.retries"].data.data_points
    assert sum(point.value for point in retries) == 2


async def test_durations_are_a_histogram_in_seconds(app, gateway, observed):
    """By API, method, host, status and class of error."""
    async with iop.Client(app, gateway, **observed.options) as client:
        await client.call("/sandbox/echo")
        await client.call("/sandbox/echo")
        with pytest.raises(iop.ApiError):
            await client.call("/no/such/api")
    metric = observed.metrics["http.client.request.duration"]
    assert metric.unit == "s"
    counts = {
        (point.attributes["iop.api"], point.attributes.get("error.type")): point.count
        for point in metric.data.data_points
    }
    assert counts == {("/sandbox/echo", None): 2, ("/no/such/api", "PermissionDenied"): 1}
    assert metric.data.data_points[0].explicit_bounds[0] == 0.005


async def test_no_secret_is_in_any_attribute(server, observed):
    """Not that of the app or of the call, be it in a URL or repeated by the gateway."""
    bodies = iter(
        [
            b'{"code":"0","access_token":"%s"}' % CANARY.encode(),
            b'{"code":"X%s","message":"%s","request_id":"%s"}' % ((CANARY.encode(),) * 3),
            CANARY.encode(),
        ]
    )
    server.respond = lambda received, writer: answer(next(bodies))
    gateway = iop.gateways.Iop(server.base)
    for http_method, error in (("GET", None), ("POST", iop.ApiError), ("GET", iop.ProtocolError)):
        client = iop.Client(iop.App("123456", CANARY), gateway, retry=None, **observed.options)
        async with client:
            call = client.as_seller(CANARY).call(
                "/a", {"refresh_token": CANARY}, http_method=http_method
            )
            if error is None:
                await call
            else:
                with pytest.raises(error):
                    await call
    assert len(observed.spans) == 3
    assert all(CANARY not in span.to_json() for span in observed.spans)
    assert CANARY not in str(observed.metrics)


def test_without_opentelemetry_it_says_which_extra_is_missing(monkeypatch):
    """When it is imported; nothing else of the library needs it."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "iop_async.contrib.otel")
    with pytest.raises(ImportError, match=r"pip install 'iop-async\[otel\]'"):
        import iop_async.contrib.otel  # noqa: F401
