"""The consent page, on which a seller approves an app or declines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import frozen
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from .._parties import SandboxApp, SandboxSeller
from .._sandbox import Sandbox
from .page import error_page, hidden, page

# DOC:120904 (IOP), DOC:101617 (TOP).
PATHS: Final = ("/oauth/authorize", "/authorize")

_FEW = 8


class _InvalidRequest(Exception):
    """The request does not lead to a consent; the text says why."""


@frozen
class _ConsentRequest:
    """The consent that an app asks a seller for."""

    app: SandboxApp
    redirect_uri: str
    state: str | None

    def back(self, **params: str) -> Response:
        """Send the browser back to the app."""
        if self.state is not None:
            params["state"] = self.state
        parts = urlsplit(self.redirect_uri)
        query = "&".join(filter(None, (parts.query, urlencode(params))))
        headers = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return RedirectResponse(parts._replace(query=query).geturl(), 302, headers)


async def show(sandbox: Sandbox, request: Request) -> Response:
    """The page, or with ``auto_approve=SELLER`` the seller's approval at once."""
    params = request.query_params
    try:
        consent = _read(sandbox, params)
        if "auto_approve" in params:
            return _approve(sandbox, consent, params["auto_approve"])
    except _InvalidRequest as error:
        return error_page(str(error))
    return _page(sandbox, consent, params.get("country", "").lower())


async def decide(sandbox: Sandbox, request: Request) -> Response:
    """The redirect that the seller's decision leads to."""
    body = (await request.body()).decode("utf-8", "replace")
    params = dict(parse_qsl(body, keep_blank_values=True))
    try:
        consent = _read(sandbox, params)
        if params.get("decision") != "approve":
            return consent.back(error="access_denied")
        return _approve(sandbox, consent, params.get("seller_id", ""))
    except _InvalidRequest as error:
        return error_page(str(error))


def _read(sandbox: Sandbox, params: Mapping[str, str]) -> _ConsentRequest:
    app = sandbox.apps.get(params.get("client_id", ""))
    if app is None:
        msg = "client_id is no app key that the sandbox knows"
        raise _InvalidRequest(msg)
    if params.get("response_type") != "code":
        msg = "response_type must be code"
        raise _InvalidRequest(msg)
    redirect_uri = params.get("redirect_uri", "")
    if app.callback is not None and redirect_uri != app.callback:
        msg = "Redirect uri does not match the callback url of the APP"
        raise _InvalidRequest(msg)
    try:
        parts = urlsplit(redirect_uri)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        msg = "redirect_uri is no absolute http(s) URL"
        raise _InvalidRequest(msg)
    return _ConsentRequest(app, redirect_uri, params.get("state"))


def _approve(sandbox: Sandbox, consent: _ConsentRequest, seller_id: str) -> Response:
    if seller_id not in sandbox.sellers:
        msg = f"there is no seller {seller_id!r}"
        raise _InvalidRequest(msg)
    return consent.back(code=sandbox.grants.issue_code(consent.app, seller_id))


def _page(sandbox: Sandbox, consent: _ConsentRequest, country: str) -> Response:
    sellers = list(sandbox.sellers.values())
    in_country = [s for s in sellers if country in {shop.country for shop in s.shops}]
    sellers = in_country or sellers
    name = escape(consent.app.name or f"App {consent.app.key}")
    fields = {
        "client_id": consent.app.key,
        "response_type": "code",
        "redirect_uri": consent.redirect_uri,
    }
    if consent.state is not None:
        fields["state"] = consent.state
    choices = _radios(sellers) if len(sellers) <= _FEW else _select(sellers)
    back = escape(urlsplit(consent.redirect_uri).netloc)
    return page(
        "Authorize an app",
        f"""<h1>{name} would like to work with your shop</h1>
<p class="soft">App key <code>{escape(consent.app.key)}</code></p>
<p>If you authorize it, the app can:</p>
<ul>
<li>read your orders and the items in them</li>
<li>read your products, and upload pictures</li>
<li>see your shop's name and country</li>
</ul>
<form method="post">
{hidden(**fields)}
<fieldset>
<legend>Continue as</legend>
{choices or "<p>The sandbox has no sellers yet.</p>"}
</fieldset>
<div class="buttons">
<button class="main" name="decision" value="approve">Authorize</button>
<button name="decision" value="decline" formnovalidate>Decline</button>
</div>
</form>
<p class="note"><small>You will be sent back to <strong>{back}</strong>. This is a sandbox: shops,
orders and tokens are made up.</small></p>""",
    )


def _radios(sellers: Iterable[SandboxSeller]) -> str:
    return "\n".join(
        f'<label class="choice"><input type="radio" name="seller_id" required '
        f'value="{escape(seller.seller_id)}"{"" if index else " checked"}>'
        f"<span>Seller {escape(seller.seller_id)}"
        f"<small>{escape(seller.account)}{_countries(seller)}</small></span></label>"
        for index, seller in enumerate(sellers)
    )


def _select(sellers: Iterable[SandboxSeller]) -> str:
    options = "\n".join(
        f'<option value="{escape(seller.seller_id)}">'
        f"{escape(seller.seller_id)} \u2013 {escape(seller.account)}{_countries(seller)}</option>"
        for seller in sellers
    )
    return f'<select name="seller_id" aria-label="Seller">\n{options}\n</select>'


def _countries(seller: SandboxSeller) -> str:
    names = [shop.country.upper() for shop in seller.shops if shop.country]
    return escape(f" \u00b7 {', '.join(names)}") if names else ""
