"""Two servers run inside a program of ours, by uvicorn: of the sandbox, and of a command."""

import asyncio

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from iop_async.cli._http_server import serving
from iop_async.sandbox import Sandbox, serve

SERVERS = {
    "sandbox": lambda: serve(Sandbox()),
    "command": lambda: serving(PlainTextResponse("here"), host="127.0.0.1", port=0),
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
async def test_a_server_that_fails_while_it_starts_says_so_and_keeps_nobody_waiting(
    server, monkeypatch
):
    async def fail(self, sockets=None):
        raise OSError("no more files")

    monkeypatch.setattr(uvicorn.Server, "startup", fail)
    async with asyncio.timeout(60) as limit:  # one that waits for ever would end by this alone
        with pytest.raises(OSError, match="no more files"):
            async with server():
                pass
    assert not limit.expired()
