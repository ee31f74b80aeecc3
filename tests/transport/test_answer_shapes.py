"""Answers of every shape that HTTP/1.1 allows, and some that it does not, through every door."""

import asyncio

import pytest
from loopback import Server, answer
from transport_helpers import failure_of, get, pool_of, post, reset, until

from iop_async import TransportError

OK = b"HTTP/1.1 200 OK\r\n"
BODY = OK + b"Content-Length: 2\r\n\r\n{}"


def ask(run, make_transport, reply, times=1):
    """The last of several answers, and over how many connections they came."""

    async def scenario():
        async with make_transport() as transport:
            for _ in range(times):
                response = await transport.send(get(f"{server.base}/rest"))
            return response

    with Server(reply if callable(reply) else lambda *_: reply) as server:
        return run(scenario), server.accepted


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" * 3,
    ],
    ids=["100", "103"],
)
@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
def test_provisional_answers_are_passed_over(run, make_transport, before, apart):
    async def respond(received, writer):
        writer.write(before)
        if apart:
            await asyncio.sleep(0.01)
        return BODY

    response, connections = ask(run, make_transport, respond, times=2)
    assert (response.status, response.content, connections) == (200, b"{}", 1)
    assert "x-early" not in response.headers


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_an_answer_may_come_in_pieces(run, make_transport, step):
    reply = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;a=b\r\n}\r\n0\r\nX-Late: 1\r\n\r\n"

    async def respond(received, writer):
        for start in range(0, len(reply), step):
            writer.write(reply[start : start + step])
            await asyncio.sleep(0.0005)
        return b""

    response, connections = ask(run, make_transport, respond, times=2)
    assert (response.content, connections) == (b"{}", 1)
    assert "x-late" not in response.headers


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"Connection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
    ],
)
def test_an_answer_without_a_length_ends_with_its_connection(run, make_transport, reply):
    async def respond(received, writer):
        writer.write(reply)

    response, connections = ask(run, make_transport, respond, times=2)
    assert (response.content, connections) == (b"{}", 2)


def test_an_answer_without_a_length_that_is_reset_is_none(run, make_transport):
    async def respond(received, writer):
        writer.write(OK + b"\r\n{}")
        await writer.drain()
        await asyncio.sleep(0.05)
        reset(received, writer)

    with pytest.raises(TransportError, match="the connection broke") as caught:
        ask(run, make_transport, respond)
    assert caught.value.may_have_been_applied
    assert caught.value.content == b"{}"


@pytest.mark.parametrize(
    ("reply", "content"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b""),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", b"{}"),
        (OK + b"Empty:\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
        (
            OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b"{}",
        ),
        (OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}", b"{}"),
    ],
)
def test_shapes_that_are_read(run, make_transport, reply, content):
    response, _ = ask(run, make_transport, reply)
    assert response.content == content


@pytest.mark.parametrize(
    "reply",
    [
        answer(Connection="close"),
        BODY.replace(b"1.1", b"1.0"),
        BODY + b"HTTP/1.1 200 OK\r\n",
        BODY + BODY,
        BODY + b"anything",
        answer(Connection="close") + b"anything",
    ],
    ids=["close", "1.0", "half of another", "another", "anything", "closed, and anything"],
)
def test_after_these_a_connection_is_not_used_again(run, door, reply):
    response, connections = ask(run, door, reply, times=3)
    assert (response.content, connections) == (b"{}", 3)


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"Transfer-Encoding: gzip\r\n\r\n{}",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: -2\r\n\r\n{}",
        OK + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 2xx OK\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    ],
)
def test_shapes_that_are_refused(run, make_transport, reply):
    with pytest.raises(TransportError, match="broke off or is no HTTP") as caught:
        ask(run, make_transport, reply)
    assert caught.value.may_have_been_applied


@pytest.mark.parametrize(
    "begin",
    [OK, OK + b"X: ", b"HTTP/1.1 200 "],
    ids=["headers", "one header", "status line"],
)
def test_headers_without_an_end_are_given_up(run, make_transport, begin):
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"

    async def respond(received, writer):
        writer.write(begin)
        while not writer.transport.is_closing():
            writer.write(line if begin == OK else b"x" * 1000)
            await writer.drain()

    with pytest.raises(TransportError, match="broke off or is no HTTP"):
        ask(run, make_transport, respond)


def test_trailers_without_an_end_are_given_up(run, make_transport):
    async def respond(received, writer):
        writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        while not writer.transport.is_closing():
            writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
            await writer.drain()

    with pytest.raises(TransportError, match="broke off or is no HTTP") as caught:
        ask(run, make_transport, respond)
    assert caught.value.content == b"{}"


def test_many_small_chunks_are_no_headers(run, make_transport):
    """What frames them is longer than they are."""
    chunks = b"1\r\nx\r\n" * 100_000
    reply = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    response, _ = ask(run, make_transport, reply)
    assert len(response.content) == 100_000


@pytest.mark.parametrize("value", ["a\r\nX-Smuggled: 1", "a\n", "a\0b"])
def test_a_header_that_would_break_the_request_is_not_sent(run, make_transport, server, value):
    async def scenario():
        async with make_transport() as transport:
            request = post(f"{server.base}/rest", b"a=1", {"x-header": value})
            error = await failure_of(transport, request)
            assert "the request is no HTTP" in str(error)

    run(scenario)
    assert server.requests == []


def test_what_comes_while_a_connection_is_idle_ends_it(run, door):
    """A server that says goodbye with words must not be read as the next answer."""
    said = []

    async def respond(received, writer):
        def say_goodbye():
            writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            said.append(received.target)

        asyncio.get_running_loop().call_later(0.02, say_goodbye)
        return BODY

    async def scenario():
        said.clear()
        async with door() as transport:
            for number in range(1, 4):
                assert (await transport.send(get(server.base))).status == 200
                assert server.accepted == number
                await until(lambda: len(said) == server.accepted)
            assert pool_of(transport).open == 1

    with Server(respond) as server:
        run(scenario)
