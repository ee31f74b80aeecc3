"""A way through an HTTP proxy: a tunnel, in which nothing but the address is the proxy's to see."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpcore
from anyio.abc import ByteStream
from attrs import field, frozen

_LONGEST_HEAD: Final = 16 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r)")


@frozen
class Proxy:
    """Where a proxy listens, and what it wants to see.

    Attributes:
        credentials: the value of ``Proxy-Authorization``; empty for none.
    """

    host: str
    port: int
    credentials: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: Any) -> Proxy:
        """That of ``http://user:password@host:port``. Raises ``TypeError`` or ``ValueError``."""
        if not isinstance(url, str):
            msg = f"proxy is of type {type(url).__name__}; give a URL like 'http://host:3128'"
            raise TypeError(msg)
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or 80
        except ValueError:
            host, port = None, 0
        if not host or parts.scheme != "http" or parts.path.strip("/") or parts.query:
            # The URL may hold a password, so it is not shown.
            msg = (
                "proxy is no URL like 'http://user:password@host:3128'; for one by https or SOCKS "
                "give an httpx.AsyncClient of yours"
            )
            raise ValueError(msg)
        credentials = ""
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            credentials = f"Basic {b64encode(login.encode()).decode()}"
        return cls(host, port, credentials)

    async def tunnel(self, stream: ByteStream, host: str, port: int) -> None:
        """Have the proxy connect ``stream`` to a host. Raises ``httpcore.ProxyError``."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        if self.credentials:
            head += f"Proxy-Authorization: {self.credentials}\r\n"
        await stream.send(f"{head}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            if len(answer) > _LONGEST_HEAD:
                msg = "its answer has no end"
                raise httpcore.ProxyError(msg)
            answer += await stream.receive()
        status = _STATUS.match(answer)
        if status is not None and not status[1].startswith(b"2"):
            msg = f"HTTP {status[1].decode()}"
            raise httpcore.ProxyError(msg)
        # What came behind its answer would be taken for the gateway's.
        if status is None or not answer.endswith(b"\r\n\r\n"):
            msg = "its answer is no HTTP"
            raise httpcore.ProxyError(msg)
