"""Extra headers of a call, from any caller, over either door."""

import pickle
from datetime import UTC, datetime

import attrs
import httpx
import pytest
from loopback import answer

import iop_async as iop
from iop_async.sandbox import Sandbox, SandboxApp, running
from iop_async.testing import FakeCaller

TRIAL = {"x-iop-trial": "true"}


@pytest.mark.parametrize("borrowed", [False, True])
async def test_they_reach_the_gateway_with_that_call_alone(app, server, borrowed):
    """Through connections of our own, and through a client of the user's."""
    server.respond = lambda received, writer: answer(b'{"code":"0"}')
    async with (
        httpx.AsyncClient() as http,
        iop.HttpxTransport(http if borrowed else None) as transport,
    ):
        gateway = iop.gateways.Iop(server.base, headers={"X-Protocol": "GOP"})
        client = iop.Client(app, gateway, transport=transport)
        seller = client.as_seller("a-token")
        await seller.with_headers(TRIAL).with_headers({"x-b": "1"}).call("/a")
        await seller.call("/a")
    first, second = server.requests
    assert [first.headers.get(name) for name in ("x-iop-trial", "x-b")] == ["true", "1"]
    assert "x-iop-trial" not in second.headers
    assert {each.headers["x-protocol"] for each in server.requests} == {"GOP"}
    assert all(b"access_token=a-token" in each.body for each in server.requests)


async def test_a_managed_seller_takes_them_with_its_own_token(iop_client, iop_sandbox, iop_tokens):
    """Also with the call that is made again after a refresh."""
    async with iop_tokens as tokens:
        await tokens.authorize(iop_sandbox.authorize("1001"))
        reply = await tokens.seller("1001").with_headers(TRIAL).call("/seller/get")
        assert reply.data["seller_id"] == "1001"


async def test_a_fake_and_an_endpoint_take_them():
    """Endpoint(seller.with_headers(...)) is a call with headers."""
    fake = FakeCaller({"/ai/translate": {"resCode": 200}})
    await iop.Endpoint("/ai/translate", dict[str, int])(fake.with_headers(TRIAL), paramJson="{}")
    assert fake.calls == [iop.Call("/ai/translate", {"paramJson": "{}"}, headers=TRIAL)]


def test_a_header_that_is_not_the_callers_is_refused_before_the_call(app):
    """Where it is given."""
    client = iop.Client(app, iop.gateways.AIDGE)
    with pytest.raises(ValueError, match="the header Content-Type is set by the gateway"):
        client.with_headers({"Content-Type": "text/plain"})


def test_their_values_are_not_shown():
    """A header may be a key."""
    call = iop.Call("/a", headers={"x-api-key": "canary-of-a-header"})
    assert "canary" not in repr(call)
    assert b"canary" not in pickle.dumps(call)
    gateway = iop.gateways.Iop("https://a.b", headers=call.headers)
    assert "canary" not in repr(gateway)


async def test_a_batch_has_the_gateways_headers_alone(app):
    """One request has one set of them."""
    gateway = attrs.evolve(iop.gateways.TAOBAO, headers={"x-a": "1"})
    now = datetime(2026, 1, 1, tzinfo=UTC)
    request = gateway.encode_batch(app, [iop.Call("a.b")], now=now)
    assert request.headers["x-a"] == "1"
    with pytest.raises(ValueError, match="of which a batch has one set"):
        await iop.Client(app, gateway).batch([iop.Call("a.b", headers={"x-b": "1"})])


async def test_a_path_of_rest_2_is_answered():
    """As the official Java SDK sends it, judged by the sandbox."""
    app = iop.App("123456", "helloworld")
    sandbox = Sandbox(profile="aliexpress", apps=[SandboxApp(app.key, app.secret)])
    with running(sandbox) as url:
        async with iop.Client(app, iop.gateways.Iop(url)) as client:
            seller = client.as_seller(sandbox.grant("1001")["access_token"])
            order = (await seller.call("/orders/get", {"limit": 1})).data["orders"][0]
            for http_method in ("GET", "POST"):
                reply = await seller.call(
                    "/2.0/orders/{orderId}", {"orderId": order["order_id"]}, http_method=http_method
                )
                assert reply.data == order


@pytest.mark.parametrize(("code", "fails"), [(200, False), (501, True)])
def test_aidge_says_its_verdict_as_res_code(code, fails):
    """AliExpress's AI service has a preset; 501 is a limit of its own."""
    gateway = iop.gateways.from_name("aidge")
    body = b'{"code":"0","data":{"resCode":%d,"resMessage":"busy"}}' % code
    reply = gateway.decode(iop.Call("/ai/translate"), iop.HttpResponse(200, {}, body))
    assert reply.failed is fails
