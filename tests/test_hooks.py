"""Hooks of a client: what it tells of its requests, and what it never tells."""

import logging

import anyio
import pytest
from loopback import answer

import iop_async as iop

CANARY = "50000601c30canary3mSoB7701"


class Told(list):
    """Collects what hooks are told, in order."""

    @property
    def options(self):
        return {
            name: lambda value, name=name: self.append((name.removeprefix("on_"), value))
            for name in ("on_request", "on_response", "on_retry")
        }

    def of(self, kind):
        return [value for name, value in self if name == kind]


async def test_a_call_is_told_as_a_request_and_its_response(app, gateway):
    """Before it is sent, and when its answer was read."""
    told = Told()
    async with iop.Client(app, gateway, **told.options) as client:
        reply = await client.call("/sandbox/echo", {"a": 1}, http_method="GET")
    (_, request), (_, response) = told
    assert [name for name, _ in told] == ["request", "response"]
    assert request.api == "/sandbox/echo"
    assert request.url == f"{gateway.base_url}/sandbox/echo"
    assert (request.http_method, request.lane, request.attempt) == ("GET", "calls", 1)
    assert request.sent_at == reply.sent_at
    assert response.request is request
    assert (response.status, response.request_id) == (200, reply.request_id)
    assert response.error is response.code is None
    assert response.seconds >= 0


async def test_an_error_of_the_gateway_and_a_failure_of_the_business_have_their_code(
    app, gateway, sandbox
):
    """An error by its class; a failure although nothing is raised."""
    told = Told()
    async with iop.Client(app, gateway, **told.options) as client:
        with pytest.raises(iop.PermissionDenied):
            await client.call("/no/such/api")
        seller = client.as_seller(sandbox.grant("1001")["access_token"])
        assert (await seller.call("/product/get", {"item_id": 1})).failed
    facts = [(each.error, each.code, each.status) for each in told.of("response")]
    assert facts == [
        ("PermissionDenied", "InvalidApi", 200),
        ("BusinessFailure", "ITEM_NOT_FOUND", 200),
    ]


async def test_a_retry_is_told_with_what_failed(app, server):
    """Each try is a request of its own, by its number."""
    answers = iter([answer(b"{}", "503 Busy"), None, answer(b'{"code":"0"}')])
    server.respond = lambda received, writer: next(answers)
    told = Told()
    gateway = iop.gateways.Iop(server.base)
    async with iop.Client(app, gateway, **told.options) as client:
        await client.call("/order/get")
    assert [name for name, _ in told] == ["request", "response", "retry"] * 2 + [
        "request",
        "response",
    ]
    assert [request.attempt for request in told.of("request")] == [1, 2, 3]
    first, second = told.of("retry")
    assert (first.api, first.attempt, first.error) == ("/order/get", 2, "ServiceError")
    assert (second.attempt, second.error, second.code) == (3, "TransportError", None)
    assert second.waited >= 0
    assert [response.status for response in told.of("response")] == [503, None, 200]


async def test_a_request_whose_task_was_cancelled_has_a_response_all_the_same(app, server):
    """So that nobody who counts what is under way counts for ever."""
    began = anyio.Event()

    async def never(received, writer):
        await anyio.sleep_forever()

    server.respond = never
    told = Told()
    options = told.options

    def on_request(value):
        told.append(("request", value))
        began.set()

    async with (
        iop.Client(
            app, iop.gateways.Iop(server.base), **(options | {"on_request": on_request})
        ) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.call, "/a")
        await began.wait()
        tasks.cancel_scope.cancel()
    (response,) = told.of("response")
    assert response.error == "CancelledError"
    assert response.status is None


async def test_a_call_that_is_not_sent_is_not_told(app):
    """Bad input, or a signer that fails."""
    told = Told()

    class Fails:
        sign_method = "sha256"

        async def sign(self, secret, path, params):
            raise ValueError("no")

    for gateway in (iop.gateways.ALIBABA, iop.gateways.Iop("https://a.b", signer=Fails())):
        with pytest.raises((TypeError, iop.SigningFailed)):
            await iop.Client(app, gateway, **told.options).call(
                "/a", {"price": 1.5} if gateway is iop.gateways.ALIBABA else {}
            )
    assert told == []


async def test_tokens_are_told_in_their_lane_and_batches_as_one(iop_sandbox, iop_gateway):
    """Whoever makes the request."""
    told = Told()
    app = iop.App("123456", "helloworld")
    async with iop.Client(app, iop_gateway, **told.options) as client:
        token = await iop.auth.create_token(client, code=iop_sandbox.authorize("1001"))
        await iop.auth.refresh_token(client, refresh_token=token.refresh_token)
    assert [request.lane for request in told.of("request")] == ["tokens", "tokens"]

    class Fails:
        async def send(self, request):
            raise iop.TransportError("cut")

        async def aclose(self):
            pass

    told.clear()
    client = iop.Client(app, iop.gateways.TAOBAO, transport=Fails(), **told.options)
    with pytest.raises(iop.TransportError):
        await client.batch([iop.Call("a.b")] * 3)
    assert [request.api for request in told.of("request")] == ["batch"]
    assert told.of("response")[0].error == "TransportError"


async def test_a_hook_that_fails_is_logged_and_changes_nothing(app, gateway, caplog):
    """Who watches does not break what is watched."""

    def broken(value):
        raise ZeroDivisionError

    options = dict.fromkeys(("on_request", "on_response", "on_retry"), broken)
    async with iop.Client(app, gateway, **options) as client:
        assert (await client.call("/sandbox/echo")).data
    failures = [record for record in caplog.records if record.name == "iop_async"]
    assert len(failures) == 2
    assert failures[0].levelno == logging.ERROR


@pytest.mark.parametrize("name", ["on_request", "on_response", "on_retry"])
def test_a_hook_is_a_plain_callable(app, name):
    """A coroutine would never run."""

    async def hook(value):
        pass

    for wrong in (hook, "print"):
        with pytest.raises(TypeError, match=f"{name} is .*a hook is a plain callable"):
            iop.Client(app, iop.gateways.ALIBABA, **{name: wrong})


async def test_no_secret_is_told(server):
    """Not those of the call, nor those that an answer repeats."""
    told = Told()
    app = iop.App("123456", CANARY)
    bodies = iter(
        [
            b'{"code":"0","access_token":"%s"}' % CANARY.encode(),
            b'{"code":"X%s","message":"%s","request_id":"%s"}' % ((CANARY.encode(),) * 3),
            b'{"code":"0","success":false,"biz_error_code":"%s"}' % CANARY.encode(),
            CANARY.encode(),
        ]
    )
    server.respond = lambda received, writer: answer(next(bodies))
    for http_method in ("GET", "POST", "GET", "POST"):
        async with iop.Client(
            app, iop.gateways.Iop(server.base), retry=None, **told.options
        ) as client:
            try:
                seller = client.as_seller(CANARY).with_headers({"x-key": CANARY})
                await seller.call("/a", {"refresh_token": CANARY}, http_method=http_method)
            except iop.IopError:
                pass
    assert len(told) == 8
    assert CANARY not in repr(told)
    assert CANARY not in str([vars_of(value) for _, value in told])


def vars_of(value):
    return {name: str(getattr(value, name)) for name in value.__slots__ if name != "__weakref__"}
