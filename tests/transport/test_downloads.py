"""How files come: whole or not at all, and never in memory."""

import asyncio
import gzip
import tracemalloc
import zlib

import anyio
import pytest
from download_helpers import (
    LABEL,
    SIGNATURE,
    chunked,
    cut,
    cut_chunks,
    download,
    failure,
    gzipped,
    reset_halfway,
)
from loopback import Server, answer
from transport_helpers import silence, until

import iop_async as iop
from iop_async import Timeouts
from iop_async._http.decoding import Decoder

PDF = {"Content_Type": "application/pdf"}


def test_a_file_comes_whole_and_nothing_goes_with_the_request(run, make_transport, to):
    disposition = "attachment; filename=\"../a b.pdf\"; filename*=UTF-8''%E9%9D%A2%E5%8D%95.pdf"
    reply = answer(LABEL, **PDF, Content_Disposition=disposition)
    came, (request,) = download(run, make_transport, lambda *_: reply, to)
    assert came == iop.Downloaded(
        size=len(LABEL), content_type="application/pdf", filename="面单.pdf"
    )
    assert to.read_bytes() == LABEL
    assert list(to.parent.iterdir()) == [to]
    assert request.method == "GET"
    assert request.target == f"/label?sig={SIGNATURE}"
    assert set(request.headers) == {"host", "user-agent", "accept-encoding"}
    assert SIGNATURE not in repr(came)


@pytest.mark.parametrize("content", [b"", b"x"])
def test_a_small_file_is_a_file_too(run, make_transport, to, content):
    came, _ = download(run, make_transport, lambda *_: answer(content), to)
    assert (came.size, came.content_type, came.filename) == (len(content), "", None)
    assert to.read_bytes() == content


def test_chunks_and_gzip_are_undone(run, make_transport, to):
    packed = gzip.compress(LABEL[:700_000]) + gzip.compress(LABEL[700_000:])
    cuts = (packed[:10], packed[10:500_000], packed[500_000:])
    reply = chunked(*cuts, Content_Encoding="gzip")
    came, _ = download(run, make_transport, lambda *_: reply, to)
    assert came.size == len(LABEL)
    assert to.read_bytes() == LABEL


BROKEN = {
    "length": (cut, iop.TransportError, "broke off"),
    "chunks": (cut_chunks, iop.TransportError, "broke off"),
    "reset": (reset_halfway, iop.TransportError, "connection"),
    "no answer": (lambda *_: None, iop.TransportError, "broke off"),
    "gzip cut": (gzipped(gzip.compress(LABEL)[:-3]), iop.ProtocolError, "cut short"),
    "gzip corrupt": (
        gzipped(gzip.compress(LABEL)[:-8] + bytes(8)),
        iop.ProtocolError,
        "corrupt",
    ),
    "no gzip": (gzipped(LABEL), iop.ProtocolError, "corrupt"),
    "br": (
        lambda *_: answer(LABEL, Content_Encoding="br"),
        iop.ProtocolError,
        "not asked for",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_half_a_file_is_none(run, make_transport, to, kind):
    respond, kind_of_error, words = BROKEN[kind]
    error = failure(run, make_transport, respond, to, kind_of_error)
    assert words in str(error)
    assert not error.may_have_been_applied
    assert error.retryable is (kind != "br")
    if kind_of_error is iop.ProtocolError:
        assert error.status == 200


@pytest.mark.parametrize(
    "respond",
    [
        lambda *_: answer(LABEL),
        lambda *_: chunked(*[LABEL[:1000]] * 1500),
        lambda *_: answer(gzip.compress(bytes(2_000_000)), Content_Encoding="gzip"),
    ],
)
def test_a_file_that_is_too_large_is_none(run, make_transport, to, respond):
    error = failure(run, make_transport, respond, to, iop.ProtocolError, max_bytes=1_000_000)
    assert "larger than 1000000 bytes" in str(error)
    assert (error.status, error.retryable) == (200, False)


def test_a_file_of_just_the_size_comes(run, make_transport, to):
    for respond in (lambda *_: answer(LABEL), gzipped(gzip.compress(bytes(len(LABEL))))):
        came, _ = download(run, make_transport, respond, to, max_bytes=len(LABEL))
        assert came.size == len(LABEL)


@pytest.mark.parametrize("where", ["total", "read"])
def test_deadlines_hold(run, make_transport, to, where):
    async def trickle(received, writer):
        writer.write(answer(LABEL)[:300_000])
        while where == "total":
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)
        await received.reader.read()

    options = {"timeout": 0.2} if where == "total" else {"timeouts": Timeouts(read=0.2)}
    error = failure(run, make_transport, trickle, to, iop.TransportTimeout, **options)
    assert ("no complete answer" if where == "total" else "no more of it") in str(error)


def test_the_time_for_calls_does_not_hold(run, make_transport, to):
    async def respond(received, writer):
        await asyncio.sleep(0.3)
        return answer(LABEL)

    came, _ = download(run, make_transport, respond, to, timeouts=Timeouts(total=0.05))
    assert came.size == len(LABEL)


def test_a_transport_that_is_closed_breaks_it_off(run, door, to):
    async def close(transport):
        await until(lambda: server.requests)
        await transport.aclose()

    async def scenario():
        transport = door()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(close, transport)
            with pytest.raises(iop.TransportError, match="closed meanwhile"):
                await transport.download(server.base, to)

    with Server(silence) as server:
        run(scenario)
    assert list(to.parent.iterdir()) == []


def test_a_file_without_a_length_ends_with_its_connection(run, make_transport, to):
    reply = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LABEL
    came, _ = download(run, make_transport, lambda *_: reply, to)
    assert came.size == len(LABEL)
    assert to.read_bytes() == LABEL


def test_a_file_in_very_small_chunks_comes(run, make_transport, to):
    packed = gzip.compress(LABEL[:30_000])
    reply = chunked(*(packed[at : at + 1] for at in range(len(packed))), Content_Encoding="gzip")
    download(run, make_transport, lambda *_: reply, to)
    assert to.read_bytes() == LABEL[:30_000]


@pytest.mark.parametrize("bad", [{"max_bytes": 0}, {"max_bytes": 1.5}, {"timeout": 0}])
async def test_bounds_that_are_none(door, to, bad):
    async with door() as transport:
        with pytest.raises((TypeError, ValueError), match=next(iter(bad))):
            await transport.download("https://files.example/", to, **bad)


async def test_a_closed_transport_brings_no_file(door, to):
    transport = door()
    await transport.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await transport.download("https://files.example/", to)
    assert list(to.parent.iterdir()) == []


def test_any_number_of_event_loops_may_use_it(run, door, to):
    transport = door()

    async def scenario():
        await transport.download(server.base, to)

    with Server(lambda *_: answer(LABEL)) as server:
        for _ in range(3):
            run(scenario)
    run(transport.aclose)
    assert to.read_bytes() == LABEL


@pytest.mark.parametrize("wbits", [31, 15, -15])
def test_pieces_end_where_the_data_does(wbits):
    """Also where zlib has taken in all, and still holds what comes after a full piece."""
    for size in range(1, 3000, 7):
        packer = zlib.compressobj(wbits=wbits)
        packed = packer.compress(bytes(size)) + packer.flush()
        decoder = Decoder(may_be_bare=True)
        pieces = [*decoder.pieces(packed, 100)]
        assert b"".join(pieces) == bytes(size)
        assert max(map(len, pieces)) <= 100
        assert decoder.complete


def test_a_connection_is_used_again_after_a_file(run, door, to):
    """... also where it was held back."""

    async def scenario():
        async with door() as transport:
            for _ in range(20):
                await transport.download(server.base, to)
                response = await transport.send(iop.HttpRequest("GET", server.base))
                assert response.content == LABEL

    with Server(lambda *_: answer(LABEL)) as server:
        run(scenario)
    assert server.accepted == 1


def download_zeros(make_transport, to, size, encoding):
    """The most memory that a large file takes, and how much of it came."""
    piece = bytes(1_000_000)

    async def respond(received, writer):
        packer = zlib.compressobj(1, wbits=31) if encoding else None
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n")
        writer.write(b"Content-Encoding: gzip\r\n\r\n" if encoding else b"\r\n")
        for left in range(size // len(piece), -1, -1):
            data = piece if left else b""
            if packer is not None:
                data = packer.compress(data) if left else packer.flush()
            if data:
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
                await writer.drain()
        return b"0\r\n\r\n"

    tracemalloc.start()
    try:
        came, _ = download(anyio.run, make_transport, respond, to)
        return came.size, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_large_file_is_never_in_memory(make_transport, to, encoding):
    size, memory = download_zeros(make_transport, to, 100_000_000, encoding)
    assert size == to.stat().st_size == 100_000_000
    assert memory < 10_000_000


@pytest.mark.drill
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_gigabyte_takes_no_more_memory_than_a_tenth_of_it(make_transport, to, encoding, show):
    size, memory = download_zeros(make_transport, to, 1_000_000_000, encoding)
    show(f"1 GB received, {memory / 1e6:.1f} MB of memory at the most")
    assert size == to.stat().st_size == 1_000_000_000
    assert memory < 10_000_000
    to.unlink()
