"""Batches at the gates, within limits, and tried again: as a gateway sees them."""

import json
import re
from collections import Counter
from time import monotonic

import anyio
import pytest
from loopback import InFlight, Server, answer

import iop_async as iop

APP = iop.App("k", "s")
SEPARATOR = b"\r\n-S-\r\n"
FINE = {"a_b_response": {"a": 1, "request_id": "r"}}


def refusal(code, sub_code=None, msg="no"):
    return {"error_response": {"code": code, "msg": msg, "sub_code": sub_code}}


BANNED = refusal(7, "accesscontrol.limited-by-api-access-count", "ban will last for 300 seconds")
"""Of an API, to whoever calls it too often."""


def parts(*bodies):
    return answer(SEPARATOR.join(json.dumps(body).encode() for body in bodies))


def apis_in(received):
    """The API of each call of a batch, in order."""
    head, *queries = received.body.split(SEPARATOR)
    shared = head.removeprefix(b"#PUBLIC#") if head.startswith(b"#PUBLIC#") else b""
    queries = queries if shared else [head, *queries]
    return [re.search(rb"method=([\w.]+)", shared + b"&" + query)[1].decode() for query in queries]


def client_of(server, **options):
    return iop.Client(APP, iop.gateways.Top(f"{server.base}/router/rest"), **options)


def answering(received, writer):
    return parts(*[FINE] * len(apis_in(received)))


def calls(count, api="a.b", **options):
    return [iop.Call(api, {"n": number}, **options) for number in range(count)]


def test_a_batch_obeys_a_ban_of_one_of_its_calls(run, server):
    """The call that is banned is not sent, and the others are."""

    def respond(received, writer):
        return parts(*[BANNED if api == "a.b" else FINE for api in apis_in(received)])

    server.respond = respond
    both = [iop.Call("a.b"), iop.Call("taobao.a.b")]

    async def scenario():
        async with client_of(server) as client:
            first = await client.batch(both)
            second = await client.batch(both)
            with pytest.raises(iop.Throttled, match="Not sent"):
                await client.batch(both[:1])
            with pytest.raises(iop.Throttled, match="Not sent"):
                await client.call("a.b")
            return first, second

    for banned, fine in run(scenario):
        assert isinstance(banned, iop.Throttled)
        assert fine.data == {"a": 1}
    assert [apis_in(request) for request in server.requests] == [
        ["a.b", "taobao.a.b"],
        ["taobao.a.b"],
    ]


def test_a_ban_of_the_app_holds_batches_too(run, server):
    """Whether a call or a batch met it."""
    body = {"error_response": {"code": 7, "msg": "App Call Limited: ban will last 300 seconds"}}
    server.respond = lambda received, writer: answer(json.dumps(body).encode())

    async def scenario():
        async with client_of(server) as client:
            with pytest.raises(iop.Throttled):
                await client.batch(calls(3))
            for _ in range(3):
                with pytest.raises(iop.Throttled, match="Not sent"):
                    await client.batch(calls(3))

    run(scenario)
    assert len(server.requests) == 1


def test_refusals_of_the_app_open_the_breaker_for_batches(run, server):
    """Each call of a batch that is refused counts."""
    server.respond = lambda received, writer: parts(*[refusal(29)] * 3)  # invalid app key

    async def scenario():
        async with client_of(server) as client:
            outcomes = await client.batch(calls(3))
            with pytest.raises(type(outcomes[0]), match="Not sent"):
                await client.batch(calls(3))

    run(scenario)
    assert len(server.requests) == 1


def test_a_batch_waits_for_the_turn_of_each_of_its_calls(run, server):
    """Ten calls at 20 a second are half a second: the third request waits for those before it."""
    moments = []

    def respond(received, writer):
        moments.append(monotonic())
        return answering(received, writer)

    server.respond = respond

    async def scenario():
        async with client_of(server, limits=iop.Limits(per_second=20)) as client:
            outcomes = await client.batch(calls(30), size=10)
            assert len(outcomes) == 30

    run(scenario)
    assert len(moments) == 3
    assert moments[-1] - moments[0] >= 0.7  # a connection is made before the first


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (iop.Limits(in_flight=2), 2),
        (iop.Limits(apis={"a.b": iop.Limits(in_flight=1)}), 1),
        (iop.Limits(each_seller=iop.Limits(in_flight=1)), 1),
    ],
    ids=["app", "api", "seller"],
)
def test_no_more_batches_are_in_flight_than_allowed(run, limits, most):
    """Each is one, and two that want the same gates in another order do not wait for ever."""
    gateway = InFlight(answering)
    mixed = [
        iop.Call(api, access_token=token)
        for api in ("a.b", "a.c")
        for token in ("token1", "token2")
    ]

    async def scenario():
        async with client_of(server, limits=limits) as client, anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(client.batch, mixed if number % 2 else mixed[::-1])

    with Server(gateway) as server:
        run(scenario)
    assert len(gateway.seen) == 20
    assert max(gateway.seen) == most


@pytest.mark.parametrize(
    ("api", "idempotent", "requests"),
    [("a.order.get", None, 3), ("a.order.ship", None, 1), ("a.order.ship", True, 3)],
)
def test_a_batch_that_broke_is_made_again_where_each_of_its_calls_may_be(
    run, server, api, idempotent, requests
):
    """By the same rules as a call, signed anew and told to the hooks."""
    seen, retries = Counter(), []

    def respond(received, writer):
        seen[received.target] += 1
        return None if len(server.requests) < 3 else answering(received, writer)

    server.respond = respond

    async def scenario():
        async with client_of(server, on_retry=retries.append) as client:
            return await client.batch(
                [*calls(2, api, idempotent=idempotent), iop.Call("a.b", idempotent=True)]
            )

    if requests == 1:
        with pytest.raises(iop.TransportError):
            run(scenario)
    else:
        assert len(run(scenario)) == 3
        assert [(retry.api, retry.attempt) for retry in retries] == [("batch", 2), ("batch", 3)]
    assert len(server.requests) == requests


def test_a_batch_has_the_time_of_its_most_hurried_call(run):
    """For its wait, its tries and its answer."""

    async def hang(received, writer):
        return await received.reader.read()

    async def scenario():
        async with client_of(server) as client:
            began = monotonic()
            with pytest.raises(iop.TransportTimeout):
                await client.batch([iop.Call("a.b", timeout=0.5), iop.Call("a.b", timeout=50)])
            return monotonic() - began

    with Server(hang) as server:
        assert run(scenario) < 30


def test_a_batch_that_cannot_be_sent_stops_those_before_it(run, server):
    """Bad input in the last request is found before the first one goes."""
    server.respond = answering

    async def scenario():
        async with client_of(server) as client:
            with pytest.raises(TypeError, match="is a float"):
                await client.batch([*calls(2), iop.Call("a.b", {"price": 1.5})], size=1)

    run(scenario)
    assert server.requests == []
