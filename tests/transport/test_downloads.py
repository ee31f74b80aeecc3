"""How files come: written as they come, whole or not at all, never in memory."""

import asyncio
import gzip
import io
import os
import random
import threading
import tracemalloc
import zlib
from contextlib import suppress

import anyio
import pytest
from loopback import Server, answer
from transport_helpers import (
    Flood,
    SlowFile,
    assert_all_free,
    break_slowly,
    download_slowly,
    has_own_connections,
    open_files,
    report,
    reset,
    silence,
    until,
)

import iop_async as iop
from iop_async import Timeouts
from iop_async._http.downloads import filename_of
from iop_async._http.links import Link

SIGNATURE = "CANARY-presigned+%2Fsignature"
LABEL = random.Random(1).randbytes(1_500_000)
PDF = {"Content_Type": "application/pdf"}


def download(run, make_transport, respond, to, **options):
    """What came of a download, and what the server got; a transport with nothing left open."""
    timeouts = options.pop("timeouts", Timeouts())

    async def scenario():
        async with make_transport(timeouts=timeouts) as transport:
            try:
                return await transport.download(link, to, **options)
            finally:
                if has_own_connections(transport):
                    assert_all_free(transport)

    with Server(respond) as server:
        link = f"{server.base}/label?sig={SIGNATURE}"
        return run(scenario), server.requests


def failure(run, make_transport, respond, to, error, **options):
    """The error of a download that leaves nothing: no file, no word of its signature."""
    before = open_files()
    with pytest.raises(error) as caught:
        download(run, make_transport, respond, to, **options)
    assert "CANARY" not in report(caught.value)
    assert open_files() == before
    if isinstance(to, os.PathLike):
        assert list(to.parent.iterdir()) == []
    return caught.value


@pytest.fixture
def to(tmp_path):
    (tmp_path / "labels").mkdir()
    return tmp_path / "labels" / "label.pdf"


def chunked(*chunks, **headers):
    head = answer(**headers).partition(b"\r\n\r\n")[0].replace(b"Content-Length: 2\r\n", b"")
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


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


def test_what_was_there_is_replaced_once_the_new_one_is_whole(run, make_transport, to):
    """... with the permissions of a new file."""
    to.write_bytes(b"old")
    to.chmod(0o600)
    seen = []

    async def respond(received, writer):
        writer.write(answer(LABEL)[:-1])
        await writer.drain()
        seen.append(to.read_bytes())
        return LABEL[-1:]

    mask = os.umask(0o027)
    try:
        download(run, make_transport, respond, to)
    finally:
        os.umask(mask)
    assert seen == [b"old"]
    assert to.read_bytes() == LABEL
    assert to.stat().st_mode & 0o777 == 0o640


def cut(received, writer):
    writer.write(answer(LABEL)[:-3])


def cut_chunks(received, writer):
    writer.write(chunked(LABEL)[:-7])


def gzipped(content):
    return lambda received, writer: answer(content, Content_Encoding="gzip")


def reset_halfway(received, writer):
    writer.write(answer(LABEL)[:700_000])
    return halfway(received, writer)


async def halfway(received, writer):
    await writer.drain()
    await asyncio.sleep(0.05)
    reset(received, writer)


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


@pytest.mark.parametrize(
    ("status", "retryable"),
    [("403 Forbidden", False), ("404 Not Found", False), ("503 Busy", True), ("206 Part", False)],
)
def test_another_status_is_an_error_that_shows_it(run, make_transport, to, status, retryable):
    """... and what the host says, without the signature that it repeats."""
    words = f"<Error>the sign {SIGNATURE} has expired</Error>".encode()
    error = failure(
        run, make_transport, lambda *_: answer(words * 3000, status), to, iop.ProtocolError
    )
    assert error.status == int(status[:3])
    assert f"HTTP {error.status}, no file: '<Error>the sign ***" in str(error)
    assert "/label" in str(error)
    assert error.retryable is retryable
    assert len(error.content) <= 64 * 1024


def test_redirects_are_followed_with_their_own_link_alone(run, make_transport, to):
    def respond(received, writer):
        if received.target.startswith("/label"):
            return answer(
                b"moved", "302 Found", Location="/面 单?b=%2F#x".encode().decode("latin-1")
            )
        return answer(LABEL)

    _, (first, second) = download(run, make_transport, respond, to)
    assert first.target.startswith("/label?sig=")
    assert second.target == "/%E9%9D%A2%20%E5%8D%95?b=%2F"
    assert set(second.headers) == {"host", "user-agent", "accept-encoding"}
    assert to.read_bytes() == LABEL


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (f"http://files.example/{SIGNATURE}", "in the clear"),
        ("ftp://files.example/", "no link"),
        ("https://user:CANARY@files.example/", "a user"),
        ("/label", "after 5 redirects"),
        ("", "HTTP 302, no file"),
    ],
)
def test_redirects_that_are_not_followed(run, make_transport, to, location, words):
    error = failure(
        run,
        make_transport,
        lambda *_: answer(b"", "302 Found", Location=location),
        to,
        iop.ProtocolError,
    )
    assert words in str(error)
    assert error.status == 302


def test_a_slow_disk_slows_the_server_down(run, make_transport):
    """... and is not taken for a server that keeps waiting."""
    flood = Flood(LABEL[:100_000], 300)

    async def scenario():
        async with make_transport(timeouts=Timeouts(read=0.2)) as transport:
            await download_slowly(transport, server.base, flood)

    with Server(flood) as server:
        run(scenario)


@pytest.mark.parametrize("respond", [silence, cut], ids=["before", "during"])
def test_cancelled_it_leaves_no_file_and_no_socket(run, door, to, respond):
    async def held(received, writer):
        writer.write(answer(LABEL)[:-3])
        await received.reader.read()

    async def scenario():
        async with door() as transport:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transport.download, server.base, to)
                await until(lambda: server.requests)
                if respond is cut:
                    await until(lambda: any(part.stat().st_size for part in to.parent.iterdir()))
                tasks.cancel_scope.cancel()
            assert list(to.parent.iterdir()) == []
            assert_all_free(transport)
            await until(lambda: server.open == 0)

    with Server(silence if respond is silence else held) as server:
        run(scenario)


def test_cancelled_while_it_is_written_it_leaves_nothing(run, make_transport):
    slow = SlowFile()

    async def scenario():
        async with make_transport() as transport:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transport.download, server.base, slow)
                await until(lambda: server.requests)
                await anyio.sleep(0.05)
                tasks.cancel_scope.cancel()
            if has_own_connections(transport):
                assert_all_free(transport)
            await until(lambda: server.open == 0 or not has_own_connections(transport))

    with Server(lambda *_: answer(LABEL)) as server:
        run(scenario)
    slow.may_go_on.set()


async def test_cancellation_of_asyncio_waits_for_the_thread_that_writes(door, to):
    """... whose file would be left behind otherwise."""
    for moment in range(0, 40, 4):
        with Server(lambda *_: answer(LABEL)) as server:
            async with door() as transport:
                task = asyncio.create_task(transport.download(server.base, to))
                await until(lambda: server.requests)
                for _ in range(moment):
                    await asyncio.sleep(0)
                task.cancel("because")
                with suppress(asyncio.CancelledError):
                    await task
                    assert to.exists()
                found = list(to.parent.iterdir())
                assert found in ([], [to])  # at the last moment it may be whole all the same
                for file in found:
                    assert file.read_bytes() == LABEL
                    file.unlink()
                assert_all_free(transport)


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


def test_an_open_file_is_written_to_from_where_it_stands(run, make_transport, tmp_path):
    with (tmp_path / "open").open("w+b") as file:
        file.write(b"before ")
        download(run, make_transport, lambda *_: answer(LABEL), file)
        assert not file.closed
        assert (tmp_path / "open").read_bytes() == b"before " + LABEL


def test_an_open_file_is_set_back_where_it_fails(run, make_transport, tmp_path):
    with (tmp_path / "open").open("w+b") as file:
        file.write(b"before ")
        error = failure(run, make_transport, cut, file, iop.TransportError)
        assert error.retryable
        assert file.tell() == 7
        file.flush()
        assert (tmp_path / "open").read_bytes() == b"before "


def test_a_pipe_gets_what_came_and_is_not_tried_again(run, make_transport):
    read, write = os.pipe()
    got = []

    def take():
        with os.fdopen(read, "rb") as other_end:
            got.append(other_end.read())

    reader = threading.Thread(target=take)
    reader.start()
    with os.fdopen(write, "wb", buffering=0) as pipe:
        error = failure(run, make_transport, cut, pipe, iop.TransportError)
    reader.join(10)
    assert not error.retryable
    assert LABEL.startswith(got[0])
    assert len(got[0]) > 0


async def test_what_came_is_taken_back_before_another_try(tmp_path, door, app):
    """By a client, which tries again: an open file has the whole one once."""

    def respond(received, writer):
        return cut(received, writer) if len(server.requests) == 1 else answer(LABEL)

    with Server(respond) as server, (tmp_path / "open").open("w+b") as file:
        file.write(b"before ")
        gateway = iop.gateways.Iop(server.base)
        async with door() as transport, iop.Client(app, gateway, transport=transport) as client:
            await client.download(server.base, file)
    assert (tmp_path / "open").read_bytes() == b"before " + LABEL
    assert len(server.requests) == 2


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


def test_a_connection_that_breaks_while_the_disk_is_slow_is_found(run, make_transport):
    """What was held back meanwhile is no whole file."""

    async def scenario():
        await break_slowly(make_transport, server)

    with Server(reset_halfway) as server:
        run(scenario)


class Full(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        if len(data):
            raise OSError(28, "No space left on device")
        return 0


def test_a_full_disk_is_told_as_what_it_is(run, make_transport):
    error = failure(run, make_transport, lambda *_: answer(LABEL), Full(), OSError)
    assert "No space left on device" in str(error)
    assert not isinstance(error, iop.IopError)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda folder: folder, IsADirectoryError, "nothing was sent"),
        (lambda folder: folder / "missing" / "a", FileNotFoundError, "missing/a"),
        (lambda folder: "/dev/null", ValueError, "no plain file"),
        (lambda folder: (folder / "text").open("w"), TypeError, "'wb'"),
        (lambda folder: (folder / "text").open("rb"), ValueError, "'wb'"),
        (lambda folder: io.StringIO(), TypeError, "'wb'"),
        (lambda folder: b"x", TypeError, "not to bytes"),
        (lambda folder: None, TypeError, "not to NoneType"),
    ],
)
def test_a_target_that_is_none_is_told_before_anything_is_sent(
    run, make_transport, tmp_path, make, error, words
):
    (tmp_path / "text").touch()
    target = make(tmp_path)

    async def scenario():
        async with make_transport() as transport:
            with pytest.raises(error, match=words):
                await transport.download(server.base, target)

    with Server() as server:
        run(scenario)
    if hasattr(target, "close"):
        target.close()
    assert server.accepted == 0
    assert list(tmp_path.iterdir()) == [tmp_path / "text"]


@pytest.mark.parametrize(
    ("link", "error", "words"),
    [
        (None, TypeError, "NoneType"),
        ("", ValueError, "no link"),
        ("/label.pdf", ValueError, "no link"),
        ("ftp://files.example/CANARY", ValueError, "no link"),
        ("https://user:CANARY@files.example/a", ValueError, "a user"),
        ("https://files.example:0/a?CANARY", ValueError, "cannot be"),
        ("https://files.example:x/a?CANARY", ValueError, "no link"),
        ("https://files.example/a\r\nb: CANARY", ValueError, "no link"),
        ("https://files.example/\ud800?CANARY", ValueError, "surrogate"),
        ("http://files.example/label?CANARY", ValueError, "allow_http=True"),
    ],
)
def test_a_link_that_is_none_is_told_before_anything_is_sent(
    run, make_transport, to, link, error, words
):
    async def scenario():
        async with make_transport() as transport:
            with pytest.raises(error, match=words) as caught:
                await transport.download(link, to)
            assert "CANARY" not in report(caught.value)

    run(scenario)
    assert list(to.parent.iterdir()) == []


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


def test_no_log_shows_the_signature(run, make_transport, to, caplog):
    """A client of the user's logs every URL."""
    caplog.set_level("DEBUG")
    download(run, make_transport, lambda *_: answer(LABEL), to)
    assert "CANARY" not in caplog.text


def test_a_link_without_tls_is_one_that_the_caller_allows(run, make_transport, to):
    """0.0.0.0 is this machine, and no loopback address."""

    async def scenario():
        async with make_transport() as transport:
            link = server.base.replace("127.0.0.1", "0.0.0.0")
            with pytest.raises(ValueError, match="allow_http"):
                await transport.download(link, to)
            await transport.download(link, to, allow_http=True)

    with Server(lambda *_: answer(LABEL)) as server:
        run(scenario)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("link", "location", "there"),
    [
        ("https://a.example/b?c", "d", "https://a.example/d"),
        ("https://a.example/b?c", "//e.example", "https://e.example"),
        ("https://a.example/b?c", "https://127.0.0.1/", None),
        ("https://a.example/b?c", "https://localhost/", None),
        ("https://a.example/b?c", "https://10.0.0.1/", None),
        ("https://10.0.0.2/b?c", "https://10.0.0.1/", "https://10.0.0.1/"),
        ("https://a.example/b?c", "http://e.example/", None),
        ("http://a.example/b?c", "http://e.example/", "http://e.example/"),
        ("http://a.example/b?c", "http://localhost/", None),
        ("http://localhost/b?c", "https://e.example/", "https://e.example/"),
    ],
)
def test_where_a_redirect_may_lead(link, location, there):
    """Not from outside into a network of one's own, nor out of TLS."""
    here = Link.of(link, allow_http=True)
    if there is None:
        with pytest.raises(ValueError, match=r"in the clear|no public address"):
            here.redirected(location)
    else:
        assert here.redirected(location).url == there


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("", None),
        ("inline", None),
        ("attachment; filename=label.pdf", "label.pdf"),
        ('attachment; FileName="a \\"b\\".pdf"; size=1', 'a "b".pdf'),
        ('attachment; filename="c:\\\\d\\\\e.pdf"', "e.pdf"),
        ("attachment; filename=../../etc/f", "f"),
        ("attachment; filename=..", None),
        ("attachment; filename*=utf-8'zh'%E9%9D%A2%2F%E5%8D%95; filename=x", "单"),
        ("attachment; filename*=x-unknown''%FF; filename=x", "x"),
        ("attachment; filename=" + "面单.pdf".encode().decode("latin-1"), "面单.pdf"),
        ('attachment; filename="a\x1bb"', "a\\x1bb"),
    ],
)
def test_the_name_that_the_host_gives(disposition, name):
    assert filename_of(disposition) == name


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
