"""The sandbox is served in a loop, in a thread, in a process, and nowhere that others can reach."""

import asyncio
import logging
import multiprocessing
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from statistics import median
from urllib.parse import urlencode

import httpx
import pytest
import trio
from sandbox_helpers import SandboxCaller, signed

from iop_async.sandbox import Sandbox, running, serve

ECHO = "/sandbox/echo"


def post(url, sandbox, api=ECHO):
    return httpx.post(f"{url}/rest{api}", data=signed(sandbox, api, {}), trust_env=False)


def test_running_serves_programs_without_a_loop():
    sandbox = Sandbox()
    with running(sandbox) as url:
        assert url.startswith("http://127.0.0.1:")
        assert post(url, sandbox).json()["code"] == "0"
        assert "iop-sandbox" in {thread.name for thread in threading.enumerate()}
    assert "iop-sandbox" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(httpx.ConnectError):
        post(url, sandbox)


def test_running_serves_trio():
    sandbox = Sandbox()

    async def main(url):
        async with httpx.AsyncClient(trust_env=False) as http:
            response = await http.post(f"{url}/rest{ECHO}", data=signed(sandbox, ECHO, {}))
            return response.json()["code"]

    with running(sandbox) as url:
        assert trio.run(main, url) == "0"


async def test_serve_serves_this_loop():
    sandbox = Sandbox()
    async with serve(sandbox) as url, SandboxCaller(sandbox, url) as caller:
        answers = await asyncio.gather(*(caller.call(ECHO, {"n": str(n)}) for n in range(50)))
    assert [answer["data"]["params"]["n"] for answer in answers] == [str(n) for n in range(50)]


async def test_two_sandboxes_do_not_know_each_other():
    one, two = Sandbox(), Sandbox()
    async with serve(one) as first, serve(two) as second:
        assert first != second
        async with SandboxCaller(one, second) as caller:
            token = one.grant("1001")["access_token"]
            answer = await caller.call("/seller/get", access_token=token)
            assert answer["code"] == "IllegalAccessToken"


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "shop.localhost", ""]
)
async def test_it_listens_to_this_machine_only_unless_told(host):
    with pytest.raises(ValueError, match="allow_remote=True"):
        async with serve(Sandbox(), host=host):
            pass
    with pytest.raises(ValueError, match="allow_remote=True"), running(Sandbox(), host=host):
        pass


async def test_it_listens_elsewhere_when_told():
    sandbox = Sandbox()
    async with serve(sandbox, host="0.0.0.0", allow_remote=True) as url:
        port = url.rpartition(":")[2]
        async with SandboxCaller(sandbox, f"http://127.0.0.1:{port}") as caller:
            assert (await caller.call(ECHO))["code"] == "0"


async def test_a_name_for_this_machine_will_do():
    sandbox = Sandbox()
    async with serve(sandbox, host="localhost") as url, SandboxCaller(sandbox, url) as caller:
        assert (await caller.call(ECHO))["code"] == "0"


async def test_it_listens_on_ipv6_where_there_is_any():
    sandbox = Sandbox()
    try:
        async with serve(sandbox, host="::1") as url, SandboxCaller(sandbox, url) as caller:
            assert url.startswith("http://[::1]:")
            assert (await caller.call(ECHO))["code"] == "0"
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_a_port_that_is_taken_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), running(Sandbox(), port=port):
            pass


async def test_an_error_in_the_block_is_the_error_that_comes_out():
    with pytest.raises(KeyError, match="mine"):
        async with serve(Sandbox()):
            raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"), running(Sandbox()):
        raise KeyError("mine")


def test_signals_stay_with_the_program():
    async def main():
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        async with serve(Sandbox()):
            return before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))

    # Without a runner, which takes SIGINT itself.
    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(main())
    finally:
        loop.close()


async def test_it_stops_at_once_though_answers_are_due_and_connections_open(caplog):
    sandbox = Sandbox()
    sandbox.fail("latency", seconds=60)
    with caplog.at_level(logging.DEBUG):
        async with SandboxCaller(sandbox, "http://127.0.0.1") as caller:
            async with serve(sandbox) as url:
                caller.http.base_url = url
                waiting = asyncio.create_task(caller.call(ECHO))
                while not sandbox.ledger.calls:
                    await asyncio.sleep(0.001)
                assert (await caller.call(ECHO))["code"] == "0"
                started = time.perf_counter()
            with pytest.raises(httpx.TransportError):
                await waiting
    assert time.perf_counter() - started < 30
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_secrets_are_not_logged(caplog):
    """Not even at the lowest level, nor as part of a query."""
    sandbox = Sandbox()
    token = sandbox.grant("1001")
    async with serve(sandbox) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        with caplog.at_level(logging.DEBUG):
            query = urlencode(
                signed(sandbox, "/seller/get", {}, access_token=token["access_token"])
            )
            writer.write(f"GET /rest/seller/get?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert b"200" in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert token["access_token"] not in caplog.text
    assert "helloworld" not in caplog.text


async def test_connections_are_kept_and_answers_are_not_delayed_by_acks():
    """Forty milliseconds a call would be Nagle's algorithm waiting for an ACK."""
    sandbox = Sandbox()
    async with serve(sandbox) as url:
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = urlencode(signed(sandbox, ECHO, {})).encode()
        head = (
            f"POST /rest{ECHO} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        took = []
        for _ in range(25):
            started = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].split()[0])
            assert b'"code":"0"' in await reader.readexactly(length)
            took.append(time.perf_counter() - started)
        assert median(took) < 0.03
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_leaves_in_the_middle_of_a_request_does_nothing(caplog):
    sandbox = Sandbox()
    async with serve(sandbox) as url:
        port = int(url.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            f"POST /rest{ECHO} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\na".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with SandboxCaller(sandbox, url) as caller:
            await caller.call("/no/api")
    assert list(sandbox.ledger.calls) == [("/no/api", "InvalidApi")]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_very_long_query_is_414_at_the_socket_too():
    sandbox = Sandbox()
    async with serve(sandbox) as url, SandboxCaller(sandbox, url) as caller:
        response = await caller.http.get(f"/rest{ECHO}?a={'x' * 60_000}")
        assert response.status_code == 414
        assert (await caller.call(ECHO))["code"] == "0"


async def test_an_upload_is_never_held_in_memory():
    """Thirty-two megabytes go through, and what is allocated at any moment stays small."""
    sandbox = Sandbox()
    token = sandbox.grant("1001")["access_token"]
    query = urlencode(signed(sandbox, "/image/upload", {}, access_token=token))

    async def body():
        yield b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
        for _ in range(512):
            yield b"\0" * 65_536
        yield b"\r\n--b--\r\n"

    async with serve(sandbox) as url, SandboxCaller(sandbox, url) as caller:
        tracemalloc.start()
        try:
            response = await caller.http.post(
                f"/rest/image/upload?{query}",
                content=body(),
                headers={"content-type": "multipart/form-data; boundary=b"},
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert response.json()["data"]["files"][0]["size"] == 32 << 20
    assert peak < 4 << 20


def _serve_until_told(pipe):
    with running(Sandbox()) as url:
        pipe.send(url)
        pipe.recv()


def test_it_runs_in_a_process_of_its_own():
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_serve_until_told, args=(theirs,))
    process.start()
    try:
        assert post(mine.recv(), Sandbox()).json()["code"] == "0"
        mine.send("stop")
    finally:
        process.join(10)
        mine.close()
        theirs.close()
    assert process.exitcode == 0


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "python_multipart"])
def test_a_missing_extra_is_named(package):
    program = f"import sys; sys.modules[{package!r}] = None; import iop_async.sandbox"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"iop_async.sandbox needs {package}: install iop-async[sandbox]" in done.stderr
