"""An approval comes back: to a server on this machine, or pasted by a person.

What may go wrong on the way, and what is done about it:

- Another page in the browser, or another program, calls the callback with a code of its own: the
  state is not that of this login, so a page says so, and the login goes on waiting.
- A foreign host name leads to this machine (DNS rebinding): the ``Host`` is not that of the
  redirect URI, so nothing is read.
- The code stays in the browser's history, or in a log: it is traded at once, which ends it; the
  server logs nothing, and its page sends no referrer and is kept by no cache.
- The server stays behind: it answers one login, on loopback alone, and ends with it.
"""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from contextlib import suppress
from html import escape
from typing import Final
from urllib.parse import SplitResult, urlsplit

import anyio
import click
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .. import oauth
from .._exceptions import AuthError
from ._http_server import serving
from ._output import json_text, note, wants_json

_HERE: Final = {"127.0.0.1": "127.0.0.1", "localhost": "127.0.0.1", "::1": "::1"}
_NOT_THIS_LOGIN: Final = ("state_mismatch", "missing_code", "repeated_parameter")

_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto;
padding: 0 1rem }} h1 {{ font-size: 1.4rem }}</style>
<h1>{title}</h1><p>{words}</p>
"""
_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def require_address(redirect_uri: str) -> None:
    """Raises ``click.UsageError`` for what no browser can be sent to."""
    with suppress(ValueError):
        parts = urlsplit(redirect_uri)
        if parts.scheme and parts.hostname and parts.port != 0:
            return
    msg = "the redirect_uri is no address like http://127.0.0.1:8765/callback"
    raise click.UsageError(msg)


def is_here(redirect_uri: str) -> bool:
    """Whether a server of this command can be what a redirect URI names."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in _HERE


async def approved_here(url: str, state: str, redirect_uri: str) -> str:
    """Open a browser at ``url``, and wait for it to come back; the code.

    Raises:
        OSError: another program has the port.
        AuthError: the seller declined, or the platform failed.
    """
    parts = urlsplit(redirect_uri)
    waiting = _Waiting(parts, state)
    async with serving(waiting.app, host=_HERE[parts.hostname or ""], port=parts.port or 80):
        _show(url, opens_browser=True)
        await waiting.came.wait()
    if waiting.refusal is not None:
        raise waiting.refusal
    return waiting.code


async def approved_pasted(url: str, state: str, *, opens_browser: bool) -> str:
    """Show ``url``, and read the URL of the callback from standard input; the code.

    Raises:
        AuthError: it is no callback of this login, or the seller declined.
        click.UsageError: standard input is at its end.
    """
    _show(url, opens_browser=opens_browser)
    note("then paste the URL of the page that the browser ends on, with its code and state:")
    line = (await _read_line()).strip()
    if not line:
        raise click.UsageError("standard input has no URL of a callback")
    return oauth.parse_callback(line, state=state).code


def _show(url: str, *, opens_browser: bool) -> None:
    if wants_json():
        click.echo(json_text({"authorize_url": url}), err=True)
    else:
        words = "your browser opens this page" if opens_browser else "open this page in a browser"
        # As it is: what is escaped or masked in it could not be opened.
        click.echo(f"{words}:\n\n  {url}\n", err=True)
    if opens_browser:
        # It may stay for as long as the browser does, and nothing waits for it.
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


async def _read_line() -> str:
    line = b""
    while not line.endswith(b"\n"):
        with suppress(PermissionError):  # a plain file, which never keeps anybody waiting
            await anyio.wait_readable(sys.stdin.fileno())
        piece = os.read(sys.stdin.fileno(), 1)
        if not piece:
            break
        line += piece
    return line.decode("utf-8", "replace")


class _Waiting:
    """The callback of one login."""

    def __init__(self, redirect_uri: SplitResult, state: str) -> None:
        self._host = redirect_uri.netloc
        self._state = state
        self.came = anyio.Event()
        self.code = ""
        self.refusal: AuthError | None = None
        path = redirect_uri.path or "/"
        self.app = Starlette(routes=[Route(path, self._answer, methods=["GET"])])

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("host") != self._host:
            return _page(400, "Not here", "This address belongs to a login on this machine.")
        if request.method == "HEAD" or self.came.is_set():
            return _page(409, "Done already", "This login is over: see the terminal.")
        try:
            self.code = oauth.parse_callback(request.url.query, state=self._state).code
        except AuthError as error:
            return self._refuse(error)
        except ValueError:
            return _page(400, "Not this login", "The address cannot be read.")
        self.came.set()
        return _page(200, "Approved", "You may close this window: the terminal has the rest.")

    def _refuse(self, error: AuthError) -> Response:
        if error.code in _NOT_THIS_LOGIN:  # anybody can make a browser ask for that
            return _page(400, "Not this login", f"{error.message}. {error.advice}.")
        self.refusal = error
        self.came.set()
        return _page(200, "Not approved", "Nothing was kept. You may close this window.")


def _page(status: int, title: str, words: str) -> Response:
    text = _PAGE.format(title=escape(title), words=escape(words))
    return HTMLResponse(text, status, headers=_HEADERS)
