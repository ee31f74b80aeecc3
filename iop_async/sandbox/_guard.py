"""Who may use the pages: people on this machine and their programs, and not what web pages send.

A browser sends requests for any page that it shows, to this machine too. A page's own request tells
where it comes from (``Sec-Fetch-Site``, ``Origin``). One whose host name was made to lead here is
known by that name (``Host``), which is not this machine's.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_READING: Final = ("GET", "HEAD")


def guard(pages: ASGIApp, *, is_local: bool) -> ASGIApp:
    """The pages, for those who may use them.

    Args:
        is_local: only under this machine's own names.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (why := _refusal(scope, is_local=is_local)):
            await PlainTextResponse(f"{why}\n", 403)(scope, receive, send)
        else:
            await pages(scope, receive, send)

    return guarded


def _refusal(scope: Scope, *, is_local: bool) -> str:
    """Why a request is refused; empty where it is not."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if is_local and not is_loopback(_name(host)):
        return "the sandbox is for this machine alone: use localhost, or say allow_remote=True"
    if scope["method"] in _READING:
        return ""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    is_foreign = site not in (None, "same-origin", "none") or (
        origin is not None and urlsplit(origin).netloc.lower() != host.lower()
    )
    return "a page of another site sent this, and is not to move the sandbox" if is_foreign else ""


def _name(host: str) -> str:
    """Of a ``Host`` header, without the port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name, or an address, is sure to be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # Only a literal is sure to stay on this machine; of names, "localhost" alone: those below
        # it are asked of a name server.
        return host == "localhost"
