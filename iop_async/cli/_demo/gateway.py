"""The gateway of the demonstration: the sandbox in a process of its own, worked from outside."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from ... import oauth
from ..._models import App, HttpRequest
from ..._transport import HttpxTransport
from ...gateways import Iop
from .clock import FastClock, clock_of

APP: Final = App("123456", "helloworld")
SCOPE: Final = "demonstration"
"""Under which the app keeps the grants."""

ACCESS_MINUTES: Final = 10
"""How long an access token lives; the manager renews it after half of that."""

_CALLBACK = "https://shop-tool.example/callback"


class LocalGateway:
    """A gateway that listens at ``url``, its sellers, and the panel that moves it.

    Args:
        urls: what ``iop-async sandbox`` printed.
        http: carries the sellers' browsers and the panel's requests.
    """

    def __init__(self, urls: Mapping[str, Any], http: HttpxTransport) -> None:
        self.url: str = urls["gateway"]
        self.sellers: list[str] = urls["sellers"]
        self.dialect = Iop(self.url)
        self.panel: str = urls["panel"]
        self._http = http

    async def approve(self, seller: str) -> str:
        """The code that the app gets when the seller approves on the consent page."""
        state = secrets.token_urlsafe(16)
        page = oauth.authorize_url(APP, self.dialect, redirect_uri=_CALLBACK, state=state)
        approval = HttpRequest("GET", f"{page}&auto_approve={quote(seller)}")
        redirect = (await self._http.send(approval)).headers["location"]
        return oauth.parse_callback(redirect, state=state).code

    async def set_speed(self, speed: float) -> FastClock:
        """Let time pass at another speed from now on; a clock that goes like the gateway's."""
        await self._act("clock", speed=speed)
        return await clock_of(self._http, self.panel)

    async def fail(self, kind: str, **members: Any) -> int:
        """Let calls go wrong; see :class:`~iop_async.sandbox.Fault`. Gives the fault's id."""
        fault: int = (await self._act("faults", kind=kind, **members))["id"]
        return fault

    async def hits(self, fault: int) -> int:
        """How many calls went wrong for this fault."""
        rules = (await self._look("faults"))["faults"]
        return sum(rule["hits"] for rule in rules if rule["id"] == fault)

    async def recover(self) -> None:
        """Let everything go well again."""
        await self._act("clear_faults")

    async def live(self) -> dict[str, str]:
        """Each seller's refresh token that the gateway takes, by its digest."""
        live = (await self._look("grants"))["live"]
        return {pair["seller"]: pair["refresh_digest"] for pair in live}

    async def _look(self, name: str) -> Any:
        return json.loads((await self._http.send(HttpRequest("GET", self.panel + name))).content)

    async def _act(self, name: str, **members: Any) -> Any:
        headers = {"content-type": "application/json"}
        body = json.dumps(members).encode()
        request = HttpRequest("POST", self.panel + name, headers, body)
        return json.loads((await self._http.send(request)).content)


@asynccontextmanager
async def local_gateway(sellers: int) -> AsyncIterator[LocalGateway]:
    """A gateway with so many sellers, for as long as the context lasts."""
    options = {
        "--app": f"{APP.key}:{APP.secret}",
        "--sellers": str(sellers),
        "--callback": _CALLBACK,
        "--access-seconds": str(ACCESS_MINUTES * 60),
    }
    arguments = [text for option in options.items() for text in option]
    command = [sys.executable, "-m", "iop_async.cli", "sandbox", *arguments]
    process: Process
    async with await anyio.open_process(command, stderr=None) as process, HttpxTransport() as http:
        with anyio.fail_after(30):
            line = await _first_line(process)
        try:
            yield LocalGateway(json.loads(line), http)
        finally:
            process.terminate()


async def _first_line(process: Process) -> str:
    line = ""
    if process.stdout is not None:
        async for text in TextReceiveStream(process.stdout):
            line += text
            if "\n" in line:
                return line
    msg = "the gateway's process ended before it listened"
    raise RuntimeError(msg)
