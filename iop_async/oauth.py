"""Authorization: the URL of the consent page, and the callback with the code.

Example::

    state = secrets.token_urlsafe()  # kept in the browser's session
    page = iop.oauth.authorize_url(app, gateway, redirect_uri="https://me.example/cb", state=state)
    callback = iop.oauth.parse_callback(f"/cb?code={code}&state={state}", state=state)
    token = await iop.auth.create_token(client, code=callback.code)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import Final, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

from attrs import field, frozen

from ._exceptions import AuthError
from ._inputs import require_unicode
from ._models import App
from ._redact import Secret
from ._scrub import scrubs_construction, scrubs_frames

_URL: Final = re.compile(r"/|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_READ: Final = ("code", "state", "error", "error_description")

_REFUSED: Final = {
    # Whoever looks at the URL before us, a proxy or a filter, may read the other one.
    "repeated_parameter": (
        "the callback has a parameter twice",
        "The platform sends each once: start the authorization again",
    ),
    "state_mismatch": (
        "the callback does not belong to this browser session",
        "Start the authorization again from this session",
    ),
    "missing_code": (
        "the callback has no authorization code",
        "Check that redirect_uri is exactly the registered callback; start again",
    ),
}
"""What is wrong with a callback, by the code of its error: in words, and what to do."""


class _HasAuthorizeUrl(Protocol):
    @property
    def authorize_url(self) -> str: ...


@scrubs_frames
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
        TypeError: ``app`` is no :class:`~iop_async.App`.
        ValueError: ``redirect_uri`` is no absolute URL, or some text has no UTF-8 form.

    Example::

        page = iop.oauth.authorize_url(
            app, gateway, redirect_uri="https://me.example/cb", state=secrets.token_urlsafe()
        )
    """
    _require_app(app)
    _require_absolute(redirect_uri)
    # DOC:120904. A bullet there and TaoWorld's table say `redirect_url`; the URLs of both, and
    # every client in production, `redirect_uri`.
    query = {"response_type": "code", "client_id": app.key, "redirect_uri": redirect_uri}
    force = {"force_auth": "true"} if force_auth else {}
    chosen = {"state": state, "country": country, "uuid": uuid}
    return f"{gateway.authorize_url}?{_encoded(query | force | chosen)}"


def _encoded(query: Mapping[str, str | None]) -> str:
    texts = {name: value for name, value in query.items() if value is not None}
    for name, value in texts.items():
        require_unicode(name, str(value))
    return urlencode(texts)


def _require_app(app: object) -> None:
    if not isinstance(app, App):
        msg = f"app is of type {type(app).__name__}; give an iop_async App"
        raise TypeError(msg)


def _require_absolute(redirect_uri: str) -> None:
    parts = urlsplit(redirect_uri)
    if not parts.scheme or not parts.netloc:
        msg = f"redirect_uri {redirect_uri!r} is no absolute URL; give the registered callback"
        raise ValueError(msg)


@scrubs_construction
@frozen
class Callback:
    """A seller's approval: trade ``code`` for a token within minutes, once.

    Example::

        callback = iop.oauth.parse_callback(f"/cb?code={code}&state=s1", state="s1")
        token = await iop.auth.create_token(client, code=callback.code)
    """

    code: str = field(converter=Secret, repr=False)
    state: str | None = field(default=None, repr=False)


@scrubs_frames
def parse_callback(url: str, *, state: str | None) -> Callback:
    """Read the URL that the platform sent the seller's browser to, or only its query.

    Args:
        url: the callback URL as requested, or its query string.
        state: what :func:`authorize_url` was given, as the browser's session keeps it; compared
            in constant time. For a session without one, which began nothing, none is accepted.

    Raises:
        AuthError: the seller declined or the platform failed (``code`` is the platform's word,
            such as ``access_denied``); there is no state, or it differs (``state_mismatch``);
            there is no authorization code (``missing_code``); a parameter is there twice
            (``repeated_parameter``).
        ValueError: some text has no UTF-8 form.

    Example::

        try:
            callback = iop.oauth.parse_callback("/cb?error=access_denied&state=s1", state="s1")
        except iop.AuthError as error:
            print(error.code, error.advice)
    """
    for name, text in (("url", url), ("state", state or "")):
        require_unicode(name, text)
    query = urlsplit(url).query if _URL.match(url) else url.removeprefix("?")
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] in _READ]
    params = dict(pairs)
    if len(params) < len(pairs):
        raise _refused("repeated_parameter")
    if not state or not compare_digest(params.get("state", "").encode(), state.encode()):
        raise _refused("state_mismatch")
    if "error" in params:  # observed: clients in production handle it; no page documents it
        raise AuthError(
            params["error"] or "error",
            params.get("error_description", ""),
            advice="The seller declined or the platform failed; offer to start again",
        )
    if not params.get("code", "").strip():
        raise _refused("missing_code")
    return Callback(params["code"], params.get("state"))


def _refused(code: str) -> AuthError:
    words, advice = _REFUSED[code]
    return AuthError(code, words, advice=advice)
