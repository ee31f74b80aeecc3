"""What a transport makes of an answer: decoded, bounded, never lost silently."""

import gzip
import os
import pickle
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from loopback import Server, answer
from transport_helpers import CANARY, assert_no_secret, failure_of, get, secretive, until

from iop_async import ProtocolError, TransportError, TransportTimeout
from iop_async._http.messages import ReceivedAnswer
from iop_async._transport import Timeouts


def answer_to_get(run, make_transport, reply, **options):
    async def scenario():
        async with make_transport(**options) as transport:
            return await transport.send(get(f"{server.base}/rest?x={CANARY}"))

    with Server(lambda *_: reply) as server:
        return run(scenario)


def test_headers_are_text_with_lower_case_names(run, make_transport):
    lines = b"X-ONE: caf\xe9\r\nX-Two: a\r\nx-two: b\r\nContent-Length: 0\r\n\r\n"
    reply = b"HTTP/1.1 200 OK\r\n" + lines
    response = answer_to_get(run, make_transport, reply)
    assert response.headers == {"x-one": "caf\xe9", "x-two": "a, b", "content-length": "0"}


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("identity", bytes),
    ],
)
def test_compressed_answer_is_decoded(run, make_transport, encoding, encode):
    content = os.urandom(50_000) * 4
    reply = answer(encode(content), Content_Encoding=encoding)
    assert answer_to_get(run, make_transport, reply).content == content


def test_empty_answer_may_claim_to_be_compressed(run, make_transport):
    reply = answer(b"", "204 No Content", Content_Encoding="gzip")
    assert answer_to_get(run, make_transport, reply).content == b""


def test_chunked_answer_is_put_together(run, make_transport):
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n \r\n0\r\n\r\n"
    assert answer_to_get(run, make_transport, reply).content == b"{} "


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer(b"\x1f\x8b" + b"x" * 100, Content_Encoding="gzip"), "corrupt"),
        (
            answer(gzip.compress(b"x" * 9999, mtime=0)[:-9], Content_Encoding="gzip"),
            "cut short",
        ),
        (answer(b"x" * 100, Content_Encoding="br"), "'br'"),
        (answer(b"x" * 10_001), "larger than 10000 bytes"),
        (
            answer(gzip.compress(b"x" * 10_001, mtime=0), Content_Encoding="gzip"),
            "larger than 10000",
        ),
    ],
)
def test_unreadable_answer_is_a_protocol_error(run, make_transport, reply, words):
    with pytest.raises(ProtocolError, match=words) as caught:
        answer_to_get(run, make_transport, reply, max_answer_bytes=10_000)
    assert caught.value.status == 200
    assert "GET http://127.0.0.1:" in str(caught.value)
    assert_no_secret(caught.value)


def test_corruption_in_the_middle_is_noticed():
    packed = gzip.compress(os.urandom(1000))
    received = ReceivedAnswer(200, [(b"content-encoding", b"gzip")], 10_000)
    received.feed(packed[:500])
    received.feed(packed[500:-8] + bytes(8))
    received.feed(b"and more of it")
    with pytest.raises(ProtocolError, match="corrupt"):
        received.response(str)


@pytest.mark.parametrize("padding", [b"", bytes(5)])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_members_of_gzip_are_put_together(padding, step):
    """A proxy that compresses piece by piece makes one of each."""
    pieces = [b'{"code": "0", ', os.urandom(3000), b"", b'"data": {}}']
    packed = b"".join(gzip.compress(piece) + padding for piece in pieces) + b"\x1f"
    received = ReceivedAnswer(200, [(b"content-encoding", b"gzip")], 10_000)
    for start in range(0, len(packed), step):
        received.feed(packed[start : start + step])
    assert received.response(str).content == b"".join(pieces)


def test_members_of_gzip_count_together_towards_the_limit():
    received = ReceivedAnswer(200, [(b"content-encoding", b"gzip")], 10_000)
    received.feed(gzip.compress(b"x" * 6_000) * 2)
    with pytest.raises(ProtocolError, match="larger than"):
        received.response(str)


TOKEN = f'{{"access_token": "{CANARY}"}}'.encode()


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
@pytest.mark.parametrize("step", [5, 100_000])
@pytest.mark.parametrize(
    ("packed", "kept"),
    [
        (gzip.compress(TOKEN)[:-8] + bytes(8), TOKEN),
        (gzip.compress(TOKEN)[:-1], TOKEN),
        (gzip.compress(TOKEN) + b"\x1f\x8b, and no member", TOKEN),
        (gzip.compress(TOKEN) + gzip.compress(b"")[:5], TOKEN),
        (zlib.compress(TOKEN)[:-4] + bytes(4), TOKEN),
        (TOKEN, TOKEN),
        (b"\x1f\x8b" + TOKEN, b"\x1f\x8b" + TOKEN),
    ],
    ids=["checksum", "cut", "second corrupt", "second cut", "zlib", "plain", "no gzip"],
)
def test_error_of_a_broken_compression_keeps_all_that_can_be_had(packed, kept, step, encoding):
    """Decoded up to the break; as received where nothing could be decoded."""
    received = ReceivedAnswer(200, [(b"content-encoding", encoding)], 10_000)
    for start in range(0, len(packed), step):
        received.feed(packed[start : start + step])
    with pytest.raises(ProtocolError, match="compressed, and") as caught:
        received.response(str)
    assert caught.value.content == kept
    assert CANARY not in str(caught.value) + repr(caught.value)


def test_error_of_an_unknown_encoding_keeps_the_answer_as_received(run, make_transport):
    """Some servers name a charset there."""
    with pytest.raises(ProtocolError, match="'utf-8'") as caught:
        answer_to_get(run, make_transport, answer(TOKEN, Content_Encoding="UTF-8"))
    assert caught.value.content == TOKEN
    assert_no_secret(caught.value)


def test_error_of_an_answer_that_breaks_off_keeps_what_came(run, make_transport):
    """A server that counts wrong may have sent all of it."""
    reply = answer(TOKEN, Connection="close").replace(b"Content-Length: 3", b"Content-Length: 4")
    with pytest.raises(TransportError, match="broke off") as caught:
        answer_to_get(run, make_transport, reply)
    assert caught.value.content == TOKEN
    assert_no_secret(caught.value)


async def trickle_token(received, writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + TOKEN)
    await received.reader.read()


@pytest.mark.parametrize("timeouts", [Timeouts(read=0.7), Timeouts(total=0.7)])
def test_error_of_an_answer_that_stays_unfinished_keeps_what_came(run, make_transport, timeouts):
    async def scenario():
        async with make_transport(timeouts=timeouts) as transport:
            error = await failure_of(transport, secretive(server), TransportTimeout)
            assert error.content == TOKEN
            assert_no_secret(error)
            assert pickle.loads(pickle.dumps(error)).content == b""

    with Server(trickle_token) as server:
        run(scenario)


def test_what_follows_the_compressed_data_is_left_out():
    received = ReceivedAnswer(200, [(b"content-encoding", b"gzip")], 10_000)
    received.feed(gzip.compress(b"{}") + b"\0\0")
    received.feed(b"\0")
    assert received.response(str).content == b"{}"


def test_error_of_a_cut_answer_keeps_what_could_be_read(run, make_transport):
    """It may hold the only copy of a fresh token."""
    token = f'{{"access_token": "{CANARY}"}}'.encode()
    packed = zlib.compressobj(wbits=31)
    reply = packed.compress(token) + packed.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(ProtocolError) as caught:
        answer_to_get(run, make_transport, answer(reply, Content_Encoding="gzip"))
    assert caught.value.content == token
    assert_no_secret(caught.value)


def test_answer_may_be_as_large_as_the_limit(run, make_transport):
    reply = answer(gzip.compress(b"x" * 10_000), Content_Encoding="gzip")
    response = answer_to_get(run, make_transport, reply, max_answer_bytes=10_000)
    assert len(response.content) == 10_000


def test_bomb_does_not_fill_the_memory(run, make_transport):
    bomb = answer(gzip.compress(bytes(60_000_000), 1), Content_Encoding="gzip")
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="larger than"):
            answer_to_get(run, make_transport, bomb, max_answer_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_endless_answer_is_given_up_and_its_connection_closed(run, make_transport):
    async def respond(received, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

    async def scenario():
        async with make_transport(max_answer_bytes=1_000_000) as transport:
            await failure_of(transport, get(server.base), ProtocolError)
            await until(lambda: server.open == 0)

    with Server(respond) as server:
        run(scenario)
