"""TOP calls written by hand: what the tests send shares no code with what judges it."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from sandbox_helpers import KEY, SECRET, SandboxCaller

from iop_async.sandbox import Sandbox

SEPARATOR = b"\r\n-S-\r\n"
ECHO = "taobao.sandbox.echo"
CREATE, REFRESH = "taobao.top.auth.token.create", "taobao.top.auth.token.refresh"


def sign(text: str, sign_method: str, *, secret: str = SECRET) -> str:
    if sign_method == "md5":
        return hashlib.md5(f"{secret}{text}{secret}".encode()).hexdigest().upper()
    algorithm = {"hmac": "md5", "hmac-sha256": "sha256"}[sign_method]
    return hmac.new(secret.encode(), text.encode(), algorithm).hexdigest().upper()


def text_of(params: Mapping[str, str], body: str = "") -> str:
    return "".join(name + params[name] for name in sorted(params)) + body


def china(sandbox: Sandbox, seconds: float = 0) -> str:
    """The sandbox's date as TOP writes it, so many seconds off."""
    moment = sandbox.clock.wall() + timedelta(hours=8, seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def signed(
    sandbox: Sandbox, params: Mapping[str, str], *, body: str = "", **system: str | None
) -> dict[str, str]:
    """The parameters with TOP's own, which ``system`` overrides or leaves out, and a signature."""
    everything = {
        "app_key": KEY,
        "timestamp": china(sandbox),
        "v": "2.0",
        "format": "json",
        "sign_method": "md5",
        **params,
        **system,
    }
    given = {name: value for name, value in everything.items() if value is not None}
    if "sign" in system:
        return given
    return given | {"sign": sign(text_of(given, body), given.get("sign_method", "md5"))}


class TopCaller(SandboxCaller):
    """Calls a sandbox's TOP endpoints; ``async with TopCaller(sandbox) as caller``."""

    async def ask(self, method: str, params: Mapping[str, str] | None = None, **system: Any) -> Any:
        """The response to a form POST of one call."""
        form = signed(self.sandbox, {"method": method, **(params or {})}, **system)
        return await self.http.post("/router/rest", data=form)

    async def top(self, method: str, params: Mapping[str, str] | None = None, **system: Any) -> Any:
        """What the wrapper in a JSON answer holds."""
        (content,) = (await self.ask(method, params, **system)).json().values()
        return content

    async def batch(self, *queries: Mapping[str, str] | bytes, **system: Any) -> Any:
        """The response to a batch of queries, or of whole parts of a body."""
        parts = [q if isinstance(q, bytes) else urlencode(q).encode() for q in queries]
        body = SEPARATOR.join(parts).decode()
        query = signed(self.sandbox, {}, body=body, **system)
        return await self.http.post(
            f"/router/batch?{urlencode(query)}",
            content=body.encode(),
            headers={"content-type": "text/plain;charset=utf-8"},
        )
