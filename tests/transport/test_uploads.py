"""How files travel: streamed, measured, closed."""

import io
import os
import tracemalloc
import zlib

import anyio
import pytest
from loopback import Server, answer
from transport_helpers import (
    CANARY,
    assert_all_free,
    failure_of,
    has_own_connections,
    open_files,
    post,
    report,
    silence,
)

from iop_async import TransportTimeout
from iop_async._transport import Timeouts


def upload(run, make_transport, body):
    async def scenario():
        async with make_transport() as transport:
            return await transport.send(post(f"{server.base}/upload", body))

    with Server() as server:
        run(scenario)
    (received,) = server.requests
    return received


def test_pieces_are_sent_in_order_with_their_length(run, make_transport, tmp_path):
    (tmp_path / "one").write_bytes(b"1" * 300_000)
    with io.BytesIO(b"22222") as two:
        body = (b"<", tmp_path / "one", b"|", two, b">")
        received = upload(run, make_transport, body)
    assert received.body == b"<" + b"1" * 300_000 + b"|22222>"
    assert received.headers["content-length"] == "300008"
    assert "transfer-encoding" not in received.headers


def test_large_body_of_bytes_is_sent_in_pieces(run, make_transport):
    """The write timeout is for a piece: 4 MB of image must not need 4 MB within it."""
    body = os.urandom(1_000_000)
    assert upload(run, make_transport, body).crc == zlib.crc32(body)


def test_open_file_is_sent_from_where_it_stands_and_stays_there(run, make_transport, tmp_path):
    """So the call can be repeated with the same file."""
    (tmp_path / "file").write_bytes(b"0123456789")
    with (tmp_path / "file").open("rb") as file:
        file.seek(4)
        for _ in range(2):
            received = upload(run, make_transport, (file,))
            assert (received.body, received.headers["content-length"]) == (b"456789", "6")
            assert not file.closed
            assert file.tell() == 4


def test_file_that_only_can_be_read_is_sent_chunked(run, make_transport):
    read, write = os.pipe()
    os.write(write, b"x" * 1000)
    os.close(write)
    with os.fdopen(read, "rb", buffering=0) as pipe:
        received = upload(run, make_transport, (b"<", pipe, b">"))
    assert received.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in received.headers
    assert received.body == b"<" + b"x" * 1000 + b">"


@pytest.mark.parametrize("kind", ["open file", "path"])
def test_pipe_that_stays_silent_keeps_to_the_deadline(run, make_transport, tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    silent = os.open(tmp_path / "pipe", os.O_RDWR)

    async def scenario():
        with (tmp_path / "pipe").open("rb", buffering=0) as pipe:
            body = (pipe,) if kind == "open file" else (tmp_path / "pipe",)
            async with make_transport(timeouts=Timeouts(total=0.1)) as transport:
                try:
                    await failure_of(transport, post(server.base, body), TransportTimeout)
                finally:
                    os.write(silent, b"the thread that waits for this ends")

    with Server() as server:
        run(scenario)
    os.close(silent)


def upload_sparse(make_transport, path, size):
    """What the server got of a large file, and the most memory that sending it took."""
    with path.open("wb") as file:
        file.truncate(size)
    tracemalloc.start()
    try:
        received = upload(anyio.run, make_transport, (b"<", path, b">"))
        return received.size, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_large_file_is_never_in_memory(make_transport, tmp_path):
    size, memory = upload_sparse(make_transport, tmp_path / "sparse", 200_000_000)
    assert size == 200_000_002
    assert memory < 10_000_000


@pytest.mark.drill
def test_a_gigabyte_takes_no_more_memory_than_a_fifth_of_it(make_transport, tmp_path, show):
    size, memory = upload_sparse(make_transport, tmp_path / "sparse", 1_000_000_000)
    show(f"1 GB sent, {memory / 1e6:.1f} MB of memory at the most")
    assert size == 1_000_000_002
    assert memory < 10_000_000


@pytest.mark.parametrize("name", ["missing", "directory", "file/below"])
def test_file_that_cannot_be_opened_stops_the_call_before_it_begins(
    run, make_transport, tmp_path, name
):
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    kind = {
        "missing": FileNotFoundError,
        "directory": IsADirectoryError,
        "file/below": NotADirectoryError,
    }[name]

    async def scenario():
        async with make_transport() as transport:
            body = (CANARY.encode(), tmp_path / "file", tmp_path / name)
            error = await failure_of(transport, post(server.base, body), kind)
            assert str(tmp_path / name) in str(error)
            assert "nothing was sent" in str(error)
            assert CANARY not in report(error)

    before = open_files()
    with Server() as server:
        run(scenario)
    assert server.accepted == 0
    assert open_files() == before


def test_text_file_is_refused_before_anything_is_sent(run, make_transport, tmp_path):
    (tmp_path / "file").write_bytes(b"x")

    async def scenario():
        async with make_transport() as transport:
            with (tmp_path / "file").open() as file:
                await failure_of(transport, post(server.base, (file,)), TypeError)

    with Server() as server:
        run(scenario)
    assert server.accepted == 0


@pytest.mark.parametrize(("size", "words"), [(9, "shorter"), (600_000, "longer")])
def test_file_that_changes_meanwhile_is_a_transport_error(
    run, make_transport, tmp_path, size, words
):
    """... and the request stays incomplete, so that no gateway acts on it."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 500_000)

    class Meddler(io.RawIOBase):
        def seekable(self):
            return False

        def readinto(self, buffer):
            if len(buffer):
                os.truncate(path, size)
            return 0

    async def scenario():
        async with make_transport() as transport:
            error = await failure_of(transport, post(server.base, (Meddler(), path, b">")))
            assert error.may_have_been_applied
            assert f"{str(path)!r} became" in str(error)
            assert words in str(error)
            if has_own_connections(transport):
                assert_all_free(transport)

    with Server() as server:
        run(scenario)
    assert server.requests == []


def test_file_that_fails_meanwhile_is_a_transport_error(run, make_transport):
    class Broken(io.RawIOBase):
        def seekable(self):
            return False

        def readinto(self, buffer):
            if len(buffer):
                raise OSError(5, "Input/output error")
            return 0

    async def scenario():
        async with make_transport() as transport:
            error = await failure_of(transport, post(server.base, (Broken(),)))
            assert "could not be read on" in str(error)
            assert error.may_have_been_applied

    with Server() as server:
        run(scenario)


def test_files_are_closed_whatever_happens(run, make_transport, tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)

    async def scenario():
        async with make_transport(timeouts=Timeouts(read=0.05)) as transport:
            await failure_of(transport, post(server.base, (tmp_path / "file",)))
            with anyio.move_on_after(0.02):
                await transport.send(post(server.base, (tmp_path / "file",)))

    with Server(silence) as server:
        run(scenario)
    assert tmp_path / "file" not in open_files()


def test_answer_before_the_end_of_the_upload_is_the_answer(run, make_transport):
    """A gateway may refuse a body without reading it."""

    async def greet(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"too large", "413 Payload Too Large", Connection="close"))
        while await reader.read(1 << 20):
            pass

    async def scenario():
        async with make_transport() as transport:
            return await transport.send(post(server.base, b"x" * 5_000_000))

    with Server(greet=greet) as server:
        assert run(scenario).status == 413
