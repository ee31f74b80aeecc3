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


async def test_the_content_of_an_answer_is_the_file(app, tmp_path):
    """By the path of a client, with its redirects and its refusals."""
    headers = {"content-type": "application/pdf"}

    def answers(request):
        if request.url.endswith("/old"):
            return iop.HttpResponse(302, {"location": "/new?sign=CANARY-of-it"}, b"")
        if request.url.endswith("/none"):
            return iop.HttpResponse(404, {}, b"no such label")
        return iop.HttpResponse(200, headers, b"%PDF")

    transport = FakeTransport(answers)
    assert isinstance(transport, iop.protocols.DownloadTransport)
    client = client_over(app, transport)
    came = await client.download("https://a.example/old", tmp_path / "label")
    assert (came.size, came.content_type) == (4, "application/pdf")
    assert (tmp_path / "label").read_bytes() == b"%PDF"
    assert transport.requests[1].url == "https://a.example/new?sign=CANARY-of-it"
    with pytest.raises(iop.ProtocolError, match="HTTP 404, no file: 'no such label'"):
        await client.download("https://a.example/none", tmp_path / "none")
    with pytest.raises(iop.ProtocolError, match="larger than 3 bytes"):
        await client.download("https://a.example/", tmp_path / "none", max_bytes=3)
    assert not (tmp_path / "none").exists()


async def test_a_download_is_tried_again_as_a_read_is(app, tmp_path):
    """For as long as that may help."""

    def answers(request):
        is_first = len(transport.requests) == 1
        return iop.HttpResponse(503 if is_first else 200, {}, b"%PDF")

    transport = FakeTransport(answers)
    await client_over(app, transport).download("https://a.example/", tmp_path / "label")
    assert (tmp_path / "label").read_bytes() == b"%PDF"
    assert len(transport.requests) == 2
    transport = FakeTransport(iop.TransportError("the connection broke"))
    with pytest.raises(iop.TransportError, match="tried 3 times") as caught:
        await client_over(app, transport).download("https://a.example/", tmp_path / "none")
    assert not caught.value.may_have_been_applied


async def test_a_transport_without_downloads_is_told(app, tmp_path):
    """Those of users have two methods, and need no more."""

    class Mine:
        async def send(self, request):
            raise NotImplementedError

        async def aclose(self):
            pass

    client = client_over(app, Mine())
    with pytest.raises(TypeError, match="Mine has no method download"):
        await client.download("https://a.example/", tmp_path / "label")
