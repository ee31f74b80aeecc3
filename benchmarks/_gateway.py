"""The other side of ``calls.py``: answers every request with the same token of 600 bytes.

A process of its own, on uvloop where there is one, lest it be what is measured. It prints its port
for http, and then, given a certificate, its port for https.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

TOKEN = "5000" + "0123456789abcdef" * 3
ANSWER = json.dumps(
    {
        "access_token": TOKEN,
        "refresh_token": TOKEN[::-1],
        "expires_in": 2592000,
        "refresh_expires_in": 5184000,
        "account_platform": "seller_center",
        "account": "seller@example.com",
        "country": "cb",
        "country_user_info": [
            {"country": c, "seller_id": "100171623", "user_id": "10017162", "short_code": f"{c}1"}
            for c in ("sg", "my", "vn")
        ],
        "code": "0",
        "request_id": "0ba2887315178178017221014",
    }
).encode()


class Gateway(asyncio.Protocol):
    """Parses no more than it must."""

    answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.unread = b""

    def data_received(self, data: bytes) -> None:
        self.unread += data
        while (end := self.unread.find(b"\r\n\r\n")) >= 0:
            head = self.unread[:end].lower()
            _, _, length = head.partition(b"content-length:")
            size = end + 4 + int(length.split(b"\r\n", 1)[0] or 0)
            if len(self.unread) < size:
                return
            self.unread = self.unread[size:]
            if head.startswith(b"get /spent"):
                self.transport.write(reply(json.dumps(spent()).encode()))
                continue
            Gateway.answered += 1
            self.transport.write(REPLY)
            if b"\r\nconnection: close" in head:
                self.transport.close()


def spent() -> tuple[float, int]:
    """Seconds of CPU, and the requests that they went into."""
    return time.process_time(), Gateway.answered


def reply(content: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\n"
        b"Date: Fri, 21 Nov 2025 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n%b"
    ) % (len(content), content)


REPLY = reply(ANSWER)


async def serve(certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Gateway, "127.0.0.1", 0, backlog=4000)
    print(server.sockets[0].getsockname()[1], flush=True)
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
        secure = await loop.create_server(Gateway, "127.0.0.1", 0, backlog=4000, ssl=tls)
        print(secure.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def allow_connections(count: int = 8192) -> None:
    """As many open files, which some systems allow only to who asks."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run(certificate: str | None = None) -> None:
    """Serve until killed."""
    allow_connections()
    has_uvloop = importlib.util.find_spec("uvloop") is not None
    runner = importlib.import_module("uvloop").run if has_uvloop else asyncio.run
    runner(serve(certificate))


@contextmanager
def started(folder: Path) -> Iterator[dict[str, str]]:
    """A gateway: its URL by scheme. ``folder / "ca.pem"`` is who vouches for it."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        folder / "gateway.pem"
    )
    command = [sys.executable, __file__, str(folder / "gateway.pem")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield {
                scheme: f"{scheme}://127.0.0.1:{int(process.stdout.readline())}"
                for scheme in ("http", "https")
            }
        finally:
            process.kill()


def ask_spent(url: str) -> tuple[float, int]:
    """What :func:`spent` says in the gateway at this URL."""
    with urlopen(f"{url}/spent") as answer:
        seconds, requests = json.load(answer)
    return seconds, requests


if __name__ == "__main__":
    run(sys.argv[1])
