"""A transport for tests: real calls, and nothing that is sent."""

import json

import pytest

import iop_async as iop
from iop_async.testing import FakeTransport


def client_over(app, transport, **options):
    return iop.Client(app, iop.gateways.Iop("https://a.example"), transport=transport, **options)


async def test_a_dict_is_the_answer_and_the_request_is_the_signed_one(app):
    """What the gateway would see, without a gateway."""
    transport = FakeTransport({"code": "0", "data": {"order_id": 42}, "request_id": "r"})
    assert isinstance(transport, iop.Transport)
    reply = await client_over(app, transport).call("/order/get", {"order_id": 42})
    assert (reply.data, reply.request_id) == ({"order_id": 42}, "r")
    (request,) = transport.requests
    assert request.url == "https://a.example/rest/order/get"
    assert b"order_id=42" in request.body
    assert b"sign=" in request.body
    assert repr(transport) == "FakeTransport(1 requests)"


async def test_a_callable_answers_each_request_in_its_way(app):
    """A failure first, and then a whole response; the client tries again as it always does."""

    async def answers(request):
        if len(transport.requests) == 1:
            raise iop.TransportError("no connection", may_have_been_applied=False)
        return iop.HttpResponse(200, {}, json.dumps({"code": "0", "data": "late"}).encode())

    transport = FakeTransport(answers)
    reply = await client_over(app, transport).call("/order/get")
    assert reply.data == "late"
    assert len(transport.requests) == 2


async def test_an_exception_is_raised_each_time(app):
    """Without growing."""
    transport = FakeTransport(iop.TransportError("the connection broke"))
    client = client_over(app, transport, retry=None)
    depths = set()
    for _ in range(3):
        with pytest.raises(iop.TransportError, match="broke") as caught:
            await client.call("/order/get")
        depths.add(len(caught.traceback))
    assert len(depths) == 1
