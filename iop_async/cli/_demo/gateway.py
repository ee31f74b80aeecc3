"""The gateway: the sandbox in a process of its own, controlled through its panel; and its clock."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from ... import oauth
from ..._models import App
from ..._transport import HttpxTransport
from ..._wire import HttpRequest
from ...gateways import Iop

APP: Final = App("123456", "helloworld")
SCOPE: Final = "demonstration"
"""The scope of the app's grants in its store."""

ACCESS_MINUTES: Final = 10
"""Lifetime of an access token; the manager renews it after half of that."""

_CALLBACK = "https://shop-tool.example/callback"


class FastClock:
    """A :class:`~iop_async.tokens.Clock` on which ``speed`` seconds pass in one of the machine.

    Args:
        moment: the present time (aware).
    """

    def __init__(self, moment: datetime, speed: float) -> None:
        # Not the wall clock, which somebody may set meanwhile.
        self._began = time.monotonic()
        self._moment = moment
        self.speed = speed

    def now(self) -> datetime:
        """The time, aware UTC."""
        return self._moment + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Seconds that have passed on it."""
        return (time.monotonic() - self._began) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Return when so many seconds have passed on it."""
        await anyio.sleep(seconds / self.speed)


async def clock_of(http: HttpxTransport, panel: str) -> FastClock:
    """A clock in step with that of the sandbox at ``panel``."""
    shown = json.loads((await http.send(HttpRequest("GET", f"{panel}clock"))).content)
    return FastClock(datetime.fromisoformat(shown["now"]), shown["speed"])


class LocalGateway:
    """A gateway that listens at ``url``, its sellers, and the panel that controls it.

    Args:
        urls: the line that ``iop-async sandbox`` prints.
        http: carries the sellers' browsers and the panel's requests.
    """

    def __init__(self, urls: Mapping[str, Any], http: HttpxTransport) -> None:
        self.url: str = urls["gateway"]
        self.sellers: list[str] = urls["sellers"]
        self.dialect = Iop(self.url)
        self.panel: str = urls["panel"]
        self._http = http

    async def approve(self, seller: str) -> str:
        """Approve on the consent page as the seller; the code that the app gets."""
        state = secrets.token_urlsafe(16)
        page = oauth.authorize_url(APP, self.dialect, redirect_uri=_CALLBACK, state=state)
        # The sandbox presses the button of its consent page itself where it is told who approves.
        approval = HttpRequest("GET", f"{page}&auto_approve={quote(seller)}")
        redirect = (await self._http.send(approval)).headers["location"]
        return oauth.parse_callback(redirect, state=state).code

    async def set_speed(self, speed: float) -> FastClock:
        """Let time pass at another speed from now on; a clock in step with the gateway's."""
        await self._post("clock", speed=speed)
        return await clock_of(self._http, self.panel)

    async def fail(self, kind: str, **members: Any) -> int:
        """Inject a :class:`~iop_async.sandbox.Fault`; its id."""
        fault: int = (await self._post("faults", kind=kind, **members))["id"]
        return fault

    async def hits(self, fault: int) -> int:
        """The number of calls that met this fault."""
        rules = (await self._get("faults"))["faults"]
        return sum(rule["hits"] for rule in rules if rule["id"] == fault)

    async def recover(self) -> None:
        """Remove all faults."""
        await self._post("clear_faults")

    async def live(self) -> dict[str, str]:
        """The digest of each seller's refresh token that the gateway accepts."""
        live = (await self._get("grants"))["live"]
        return {pair["seller_id"]: pair["refresh_digest"] for pair in live}

    async def _get(self, name: str) -> Any:
        return json.loads((await self._http.send(HttpRequest("GET", self.panel + name))).content)

    async def _post(self, name: str, **members: Any) -> Any:
        headers = {"content-type": "application/json"}
        body = json.dumps(members).encode()
        request = HttpRequest("POST", self.panel + name, headers, body)
        return json.loads((await self._http.send(request)).content)


@asynccontextmanager
async def local_gateway(sellers: int) -> AsyncIterator[LocalGateway]:
    """Run a gateway with so many sellers for as long as the context lasts."""
    options = {
        "--app": f"{APP.key}:{APP.secret}",
        "--sellers": str(sellers),
        "--callback": _CALLBACK,
        "--access-seconds": str(ACCESS_MINUTES * 60),
    }
    arguments = [text for option in options.items() for text in option]
    # -P: whatever the current directory has by the name of a module is not what is run.
    command = [sys.executable, "-P", "-m", "iop_async.cli", "sandbox", *arguments]
    process: Process
    # A process of its own: its event loop must not slow that of the client.
    async with await anyio.open_process(command, stderr=None) as process, HttpxTransport() as http:
        # It prints one line of JSON once it listens.
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
