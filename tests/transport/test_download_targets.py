"""Where files go: what is there when one comes, breaks off, or has to wait for the disk."""

import asyncio
import gzip
import io
import os
import threading
from contextlib import suppress

import anyio
import pytest
from download_helpers import (
    LABEL,
    cut,
    download,
    failure,
    gzipped,
    reset_halfway,
)
from loopback import Server, answer
from transport_helpers import (
    Flood,
    SlowFile,
    assert_all_free,
    break_slowly,
    download_slowly,
    has_own_connections,
    silence,
    until,
)

import iop_async as iop
from iop_async import Timeouts
from iop_async._http.streams import CHUNK_BYTES


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


def test_cancelled_while_a_pipe_keeps_it_waiting_it_ends(run, make_transport):
    """... and writes no other piece when the pipe goes on."""
    slow = SlowFile()

    async def scenario():
        async with make_transport() as transport:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(transport.download, server.base, slow)
                await until(lambda: slow.is_asked)
                tasks.cancel_scope.cancel()
            if has_own_connections(transport):
                assert_all_free(transport)
                await until(lambda: server.open == 0)
        slow.may_go_on.set()
        await until(lambda: slow.size >= CHUNK_BYTES)
        await anyio.sleep(0.05)
        assert slow.size == CHUNK_BYTES

    with Server(gzipped(gzip.compress(bytes(20 * CHUNK_BYTES)))) as server:
        run(scenario)


def test_a_pipe_that_takes_nothing_keeps_to_the_deadline(run, make_transport):
    """... that the caller gave; the one for silence is the host's alone."""
    slow = SlowFile()
    options = {"timeout": 0.2, "timeouts": Timeouts(read=0.1)}
    error = failure(
        run, make_transport, lambda *_: answer(LABEL), slow, iop.TransportTimeout, **options
    )
    slow.may_go_on.set()
    assert "no complete answer" in str(error)


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
