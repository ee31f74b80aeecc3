"""A client's tries of a call, as a server sees them."""

import io
import json
from collections import Counter

import anyio
import pytest
from loopback import Server, answer

import iop_async as iop

APP = iop.App("k", "s")
DONE = answer(json.dumps({"code": "0", "data": {"done": True}}).encode())


def client_of(server, **options):
    return iop.Client(APP, iop.gateways.Iop(server.base), **options)


def failing(times, reply):
    """Answers as ``reply`` says so many times, and then as it should."""
    seen = Counter()

    def respond(received, writer):
        seen[received.target] += 1
        if seen[received.target] <= times:
            return reply(received, writer) if callable(reply) else reply
        return DONE

    return respond


def error(code, **headers):
    body = {"code": code, "type": "ISP", "message": "no", "request_id": "r"}
    return answer(json.dumps(body).encode(), **headers)


BAD_GATEWAY = answer(b"<html>bad gateway</html>", status="502 Bad Gateway")


@pytest.mark.parametrize(
    "reply",
    [
        lambda received, writer: None,
        BAD_GATEWAY,
        error("ServiceTimeout"),
        error("ApiCallLimit"),
        answer(b""),
        answer(b'{"code":"0","da'),
        answer(b"<html>punish</html>"),
    ],
    ids=["hangs up", "502", "ServiceTimeout", "limit", "empty", "cut short", "HTML"],
)
def test_a_read_comes_through_what_passes(run, server, reply):
    server.respond = failing(2, reply)

    async def scenario():
        async with client_of(server) as client:
            return await client.call("/order/get")

    assert run(scenario).data == {"done": True}
    assert len(server.requests) == 3


def test_a_write_that_may_have_been_applied_is_seen_once(run, server):
    server.respond = failing(1, BAD_GATEWAY)

    async def scenario():
        async with client_of(server) as client:
            with pytest.raises(iop.ProtocolError) as caught:
                await client.call("/order/ship")
            return caught.value

    failure = run(scenario)
    assert len(server.requests) == 1
    assert failure.tries == 1
    assert "tried" not in str(failure)


def test_a_write_that_was_refused_before_it_was_applied_is_tried_again(run, server):
    server.respond = failing(2, answer(b"", status="503 Service Unavailable"))

    async def scenario():
        async with client_of(server) as client:
            return await client.call("/order/ship")

    assert run(scenario).data == {"done": True}
    assert len(server.requests) == 3


def test_every_try_is_signed_anew(run, server):
    """A timestamp of the first try would grow old."""
    server.respond = failing(1, BAD_GATEWAY)
    moments = iter(range(0, 1000, 60))

    def now():
        return iop.dates.datetime(2026, 1, 1, tzinfo=iop.dates.UTC) + iop.dates.timedelta(
            seconds=next(moments)
        )

    async def scenario():
        async with client_of(server, now=now) as client:
            await client.call("/order/get")

    run(scenario)
    first, second = (request.body for request in server.requests)
    assert first != second


def test_the_last_error_says_how_often_and_how_long(run, server):
    server.respond = failing(100, error("ServiceTimeout"))

    async def scenario():
        async with client_of(server, retry=iop.Retry(attempts=2)) as client:
            with pytest.raises(iop.ServiceError, match=r"tried 2 times in \d+\.\d s$") as caught:
                await client.call("/order/get")
            return caught.value

    failure = run(scenario)
    assert (failure.tries, len(server.requests)) == (2, 2)
    assert failure.tried_for > 0


def test_none_tries_once(run, server):
    server.respond = failing(1, BAD_GATEWAY)

    async def scenario():
        async with client_of(server, retry=None) as client:
            with pytest.raises(iop.ProtocolError):
                await client.call("/order/get")

    run(scenario)
    assert len(server.requests) == 1


def test_a_ban_is_waited_out_and_not_asked_in(run, server):
    server.respond = failing(1, error("ApiCallLimit", Retry_After="1"))

    async def scenario():
        async with client_of(server) as client:
            began = anyio.current_time()
            await client.call("/order/get")
            return anyio.current_time() - began

    assert run(scenario) >= 1
    assert len(server.requests) == 2


@pytest.mark.parametrize(("timeout", "within"), [(5, None), (None, 5)])
def test_a_ban_that_outlasts_the_call_is_told_at_once(run, server, timeout, within):
    server.respond = failing(100, error("ApiCallLimit", Retry_After="300"))

    async def scenario():
        async with client_of(server, retry=iop.Retry(within=within)) as client:
            with anyio.fail_after(29), pytest.raises(iop.Throttled) as caught:
                await client.call("/order/get", timeout=timeout)
            return caught.value.retry_after

    assert run(scenario) == 300
    assert len(server.requests) == 1


def test_all_tries_are_within_the_time_of_the_call(run):
    """A try that hangs is cut short when the time of all of them is over."""
    hung = []

    async def hang_second(received, writer):
        if len(server.requests) == 1:
            return BAD_GATEWAY
        hung.append(received)
        return await received.reader.read()

    async def scenario():
        async with client_of(server) as client:
            with pytest.raises(iop.TransportTimeout) as caught:
                await client.call("/order/get", timeout=1.5)
            return caught.value

    with Server(hang_second) as server:
        failure = run(scenario)
    assert len(hung) == 1
    assert failure.tries == 2
    assert failure.tried_for >= 1.4


def test_a_connection_that_the_server_had_closed_is_no_try(run):
    """However few tries there are, and without a wait."""

    def close_kept(received, writer):
        first = received.connection not in used
        used.add(received.connection)
        return DONE if first else None

    used = set()

    async def scenario():
        retry = iop.Retry(attempts=1)
        async with client_of(server, retry=retry) as client:
            for _ in range(3):
                await client.call("/order/get")
            with pytest.raises(iop.TransportError) as caught:
                await client.call("/order/ship")
            return caught.value

    with Server(close_kept) as server:
        failure = run(scenario)
    assert failure.connection_was_stale
    assert server.accepted == 3


def test_a_server_that_closes_every_connection_is_not_asked_for_ever(run):
    async def scenario():
        async with client_of(server, retry=iop.Retry(attempts=2)) as client:
            with pytest.raises(iop.TransportError) as caught:
                await client.call("/order/get")
            return caught.value

    with Server(lambda received, writer: None) as server:
        assert run(scenario).tries == 2
        assert len(server.requests) == 2


def test_an_upload_is_sent_again_from_where_its_file_stood(run, server):
    server.respond = failing(1, error("ServiceUnavailable"))
    image = io.BytesIO(b"skipped" + b"picture" * 1000)
    image.seek(7)

    async def scenario():
        async with client_of(server) as client:
            await client.call("/image/upload", files={"image": image})

    run(scenario)
    first, second = (request.body for request in server.requests)
    assert len(first) == len(second)
    assert second.count(b"picture") == 1000
    assert b"skipped" not in second


def test_a_code_is_presented_again_only_where_it_was_not_taken(run, server):
    token = {"access_token": "a", "refresh_token": "r", "expires_in": 100, "code": "0"}
    replies = iter([error("ServiceUnavailable"), answer(json.dumps(token).encode()), BAD_GATEWAY])
    server.respond = lambda received, writer: next(replies)

    async def scenario():
        async with client_of(server) as client:
            assert (await iop.auth.create_token(client, code="c")).access_token == "a"
            with pytest.raises(iop.ProtocolError):
                await iop.auth.create_token(client, code="d")

    run(scenario)
    assert len(server.requests) == 3


def test_a_refresh_token_is_presented_once(run, server):
    server.respond = failing(1, error("ServiceUnavailable"))

    async def scenario():
        async with client_of(server) as client:
            with pytest.raises(iop.ServiceError):
                await iop.auth.refresh_token(client, refresh_token="r")

    run(scenario)
    assert len(server.requests) == 1


def test_what_is_no_retry_is_refused(server):
    with pytest.raises(TypeError, match="retry is a int; give an iop_async Retry"):
        client_of(server, retry=3)
