"""What the tests of downloads share: a file, hosts that send it or a part of it."""

import asyncio
import os
import random

import pytest
from loopback import Server, answer
from transport_helpers import assert_all_free, has_own_connections, open_files, report, reset

from iop_async import Timeouts

SIGNATURE = "CANARY-presigned+%2Fsignature"
LABEL = random.Random(1).randbytes(1_500_000)


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


def chunked(*chunks, **headers):
    head = answer(**headers).partition(b"\r\n\r\n")[0].replace(b"Content-Length: 2\r\n", b"")
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


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
