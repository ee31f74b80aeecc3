"""Authorization: where to send a seller, and what comes back."""

from __future__ import annotations

from hmac import compare_digest
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import field, frozen

from ._exceptions import AuthError
from ._models import App
from ._redact import Secret


class _HasAuthorizeUrl(Protocol):
    @property
    def authorize_url(self) -> str: ...


def authorize_url(
    app: App,
    gateway: _HasAuthorizeUrl,
    *,
    redirect_uri: str,
    state: str | None = None,
    force_auth: bool = True,
    country: str | None = None,
    uuid: str | None = None,
) -> str:
    """The page where a seller signs in and approves the app.

    Args:
        redirect_uri: exactly the callback URL registered for the app in the console.
        state: comes back unchanged with the code; unguessable, bound to the browser's session,
            and compared by :func:`parse_callback`, it keeps one seller's grant from being slipped
            to another.
        force_auth: ask the seller to sign in afresh, whatever cookies the browser has.
        country: venture to authorize, where a platform asks for one.
        uuid: documented by TaoWorld; do not hand it to ``create_token``, which then fails.

    Raises:
        ValueError: ``redirect_uri`` is no absolute URL.
    """
    parts = urlsplit(redirect_uri)
    if not parts.scheme or not parts.netloc:
        msg = f"redirect_uri {redirect_uri!r} is no absolute URL; give the registered callback"
        raise ValueError(msg)
    params = {
        "response_type": "code",
        "client_id": app.key,
        "redirect_uri": redirect_uri,
        "force_auth": "true" if force_auth else None,
        "state": state,
        "country": country,
        "uuid": uuid,
    }
    query = urlencode({name: value for name, value in params.items() if value is not None})
    return f"{gateway.authorize_url}?{query}"


@frozen
class Callback:
    """A seller's approval: trade ``code`` for a token within minutes, once."""

    code: str = field(converter=Secret, repr=False)
    state: str | None = field(default=None, repr=False)


def parse_callback(url: str, *, state: str | None) -> Callback:
    """Read the URL that the platform sent the seller's browser to, or only its query.

    Args:
        url: the callback URL as requested, or its query string.
        state: the value given to :func:`authorize_url`; ``None`` where none was given. Compared
            in constant time.

    Raises:
        AuthError: the seller declined or the platform failed (``code`` is the platform's word,
            such as ``access_denied``); the state differs (``state_mismatch``); there is no
            authorization code (``missing_code``).
    """
    query = urlsplit(url).query if "://" in url or url.startswith("/") else url.removeprefix("?")
    params = dict(parse_qsl(query, keep_blank_values=True))
    if not compare_digest(params.get("state", "").encode(), (state or "").encode()):
        raise AuthError(
            "state_mismatch",
            "the callback does not belong to this browser session",
            advice="Start the authorization again from this session",
        )
    if "error" in params:
        raise AuthError(
            params["error"] or "error",
            params.get("error_description", ""),
            advice="The seller declined or the platform failed; offer to start again",
        )
    if not params.get("code", "").strip():
        raise AuthError(
            "missing_code",
            "the callback has no authorization code",
            advice="Check that redirect_uri is exactly the registered callback; start again",
        )
    return Callback(params["code"], params.get("state"))
