"""``iop-async login``: a seller approves in a browser, and the store has the token."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, Final

import anyio
import click
from attrs import frozen

from .. import oauth
from .._client import Client
from .._models import Token
from .._scrub import scrubs_frames
from ..tokens import TokenManager, seller_ids_of
from ._approval import approved_here, approved_pasted, is_here, require_address
from ._documents import iso, token_document
from ._group import Command, Failed
from ._opening import gateway_of, manager_of, opened_client, opened_store
from ._options import takes
from ._output import print_json, say, wants_json
from ._running import run
from ._settings import Settings
from ._tables import ago

_TIMEOUT: Final = 300.0
_READS: Final = (
    *("gateway", "allow_http", "app_key", "app_secret", "redirect_uri"),
    *("store", "scope", "journal", "proxy"),
)


@click.command(cls=Command)
@takes(*_READS)
@click.option("--no-browser", is_flag=True, help="Print the URL, and read that of the callback.")
@click.option("--country", help="The venture to approve for, where a platform asks for one.")
@click.option("--reveal", is_flag=True, help="Print the token; a store is not needed then.")
@click.option(
    "--timeout",
    "seconds",
    default=_TIMEOUT,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long the seller is waited for.",
)
@scrubs_frames
def login(
    settings: Settings, country: str | None, seconds: float, *, no_browser: bool, reveal: bool
) -> None:
    """Let a seller approve the app in a browser.

    His token is kept in the store.

    The redirect URI is the callback of the app in the platform's console. Where it is one of this
    machine, http://127.0.0.1:8765/callback say, the browser comes back to this command. Else, and
    with --no-browser, the browser ends on a page of yours: paste the URL of that page here.
    """
    redirect_uri = settings.require("redirect_uri")
    require_address(redirect_uri)
    way = _Way(redirect_uri, country, seconds, opens_browser=not no_browser)
    keeps = settings.get("store") is not None if reveal else bool(settings.require("store"))

    async def do() -> tuple[str | None, Token]:
        async with AsyncExitStack() as opened:
            client = await opened.enter_async_context(opened_client(settings))
            if not keeps:
                code = await way.code(settings, client)
                endpoints = gateway_of(settings).token_endpoints
                return None, await endpoints.create_token(client, code=code)
            # Before anybody is asked to approve: what he gives must have a place.
            store = await opened.enter_async_context(opened_store(settings, must_exist=False))
            manager: TokenManager = manager_of(settings, client, store)
            await opened.enter_async_context(manager)
            return manager.scope, await manager.authorize(await way.code(settings, client))

    scope, token = run(do)
    _print(scope, token, reveal=reveal)


@frozen
class _Way:
    """How the seller is asked, and how his answer comes back."""

    redirect_uri: str
    country: str | None
    seconds: float
    opens_browser: bool

    async def code(self, settings: Settings, client: Client) -> str:
        """The code that the platform gives for an approval."""
        state = secrets.token_urlsafe(24)
        url = oauth.authorize_url(
            client.app,
            gateway_of(settings),
            redirect_uri=self.redirect_uri,
            state=state,
            country=self.country,
        )
        with anyio.move_on_after(self.seconds):
            if self.opens_browser and is_here(self.redirect_uri):
                return await approved_here(url, state, self.redirect_uri)
            return await approved_pasted(url, state, opens_browser=self.opens_browser)
        msg = f"nobody approved within {self.seconds:.0f} s; --timeout gives more"
        raise Failed(msg)


def _print(scope: str | None, token: Token, *, reveal: bool) -> None:
    seller_ids = list(seller_ids_of(token))
    if wants_json() or reveal:
        document: dict[str, Any] = {
            "scope": scope,
            "seller_ids": seller_ids,
            "expires_at": iso(token.expires_at),
            "refresh_expires_at": iso(token.refresh_expires_at),
            "token": token_document(token, reveal=reveal),
        }
        print_json(document)
        return
    now = datetime.now(UTC)
    say(f"{', '.join(seller_ids)}: approved, and kept as {scope}")
    say(f"the access token ends {ago(token.expires_at, now)}")
    if token.refreshable:
        say(f"the refresh token ends {ago(token.refresh_expires_at, now)}")
    else:
        say("it cannot be refreshed: the seller approves again then")
