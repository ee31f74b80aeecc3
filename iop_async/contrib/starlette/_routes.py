"""The routes: a seller is sent to the platform and comes back, and the platform pushes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias, overload
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ..._exceptions import (
    AuthError,
    IopError,
    NotPersisted,
    WebhookMessageError,
    WebhookSignatureError,
)
from ..._inputs import require_count, require_seconds
from ..._logs import own_logger
from ..._models import Token
from ...oauth import Callback, authorize_url, parse_callback
from ...tokens import TokenManager
from ...webhooks import verify_push
from ._health import health_response
from ._once import Once
from ._pages import HEADERS, page
from ._pushes import Handler, Inbox, TooLarge, call_handler, read_body
from ._states import StateRefused, States, new_browser, require_state_secret

_log = own_logger("iop_async.web")

OnAuthorized: TypeAlias = Callable[[Request, Token], Any]

_BROWSER: Final = re.compile(r"[\w-]{43}", re.ASCII)
_COUNTRY: Final = re.compile(r"[a-z]{2}")
_COOKIE_LONGER: Final = 86_400
"""Seconds that a cookie outlives its states: who is late is told so, and not to be a stranger."""
_REFUSED_CALLBACKS: Final = {"repeated_parameter": "broken", "missing_code": "broken"}


class _Shown(Exception):
    """An authorization ends with one of the pages; the argument names it."""


class SellerRoutes(Sequence[BaseRoute]):
    """The routes by which sellers authorize an app, and a platform pushes messages.

    ::

        from starlette.routing import Mount
        from iop_async.contrib.starlette import SellerRoutes

        async def authorized(request, token):
            print("shops", iop.tokens.seller_ids_of(token), "are connected")
            return "/dashboard"

        async def pushed(message):
            print(message.topic, message.seller_id, message.data)

        routes = SellerRoutes(
            tokens,
            redirect_uri="https://me.example/iop/callback",
            secret=secrets.token_urlsafe(),
            on_authorized=authorized,
            on_push=pushed,
        )
        mount = Mount("/iop", routes=routes)

    - ``connect``: send sellers there. It leads to the platform's page; ``?country=vn`` where that
      asks for a venture.
    - ``callback``: what is registered as callback of the app. It trades the code and keeps the
      grant, and leads to where ``on_authorized`` says, or to ``connected``, a page that says that
      all is well. Whatever goes wrong is a page as well, in English, Chinese or Spanish.
    - ``push``: what is registered for push messages, where the app has a secret to know them by. A
      message that a seller's authorization ends becomes an event of the manager as well.
    - ``health``: 200 or 503, and JSON that says why. A readiness probe: to restart a process
      because the store is down would lose what only its memory has.

    Several processes may serve them: see the threat model of this module for what that changes.

    Args:
        tokens: keeps the grants, and knows app and platform. It runs while requests are served: the
            app's lifespan enters it.
        redirect_uri: the registered callback, which is where ``callback`` is found from outside.
        secret: signs states; 16 characters at least, and the same in every process.
        on_authorized: told of a request and the token that came of it, once it is kept; returns an
            address to lead to, a response, or nothing. Whose shop it is, your session in the
            request says. An error in it is logged, and the seller told.
        on_push: handles each message but tests of the console, after the answer was given. A plain
            function runs in a thread. A message whose handler fails, or whose process ends before
            it has, is not sent again: where that matters, let it only write the message down. At
            the end of the manager those that wait have its ``drain_seconds``.
        minutes: how long a seller may take on the platform's pages.
        max_body: bytes of a push.
        max_waiting: messages that may wait for the handler; more are answered 503, and the platform
            sends them again.
        concurrency: messages handled at a time.
        push_seconds: how long the handler may take for one.

    Raises:
        TypeError, ValueError: an argument is none of these; its message says what to give.
    """

    def __init__(
        self,
        tokens: TokenManager,
        *,
        redirect_uri: str,
        secret: str,
        on_authorized: OnAuthorized | None = None,
        on_push: Handler | None = None,
        minutes: float = 10.0,
        max_body: int = 256 * 1024,
        max_waiting: int = 1_000,
        concurrency: int = 20,
        push_seconds: float = 60.0,
    ) -> None:
        self._tokens, self._app = tokens, tokens.client.app
        _require_handlers(self._app.secret, on_authorized=on_authorized, on_push=on_push)
        _require_times(minutes=minutes, push_seconds=push_seconds)
        _require_counts(max_body=max_body, max_waiting=max_waiting, concurrency=concurrency)
        self._redirect_uri = redirect_uri
        self._consent_url()
        self._on_authorized = on_authorized
        self._max_body = max_body
        self._max_age = round(minutes * 60)
        self._is_secure = urlsplit(redirect_uri).scheme == "https"
        # RFC 6265bis: a name that begins so is set by this host alone, over TLS.
        self._cookie = "__Host-iop-connect" if self._is_secure else "iop-connect"
        purpose = f"{tokens.scope}\0{redirect_uri}"
        self._states = States(require_state_secret(secret), purpose=purpose, seconds=self._max_age)
        self._now = tokens.client.now
        self._used = Once(tokens.store, scope=f"{tokens.scope} states", now=self._now)
        self._inbox = Inbox(
            on_push,
            once=Once(tokens.store, scope=f"{tokens.scope} pushes", now=self._now),
            tokens=tokens,
            now=self._now,
            max_waiting=max_waiting,
            concurrency=concurrency,
            timeout=push_seconds,
        )
        self._routes = self._make_routes()

    def _make_routes(self) -> list[BaseRoute]:
        routes: list[BaseRoute] = [
            Route("/connect", self.connect),
            Route("/callback", self.callback),
            Route("/connected", self.connected),
            Route("/health", self.health),
        ]
        if self._app.secret:
            routes.append(Route("/push", self.push, methods=["POST"]))
        return routes

    @overload
    def __getitem__(self, index: int) -> BaseRoute: ...

    @overload
    def __getitem__(self, index: slice) -> list[BaseRoute]: ...

    def __getitem__(self, index: int | slice) -> BaseRoute | list[BaseRoute]:
        return self._routes[index]

    def __iter__(self) -> Iterator[BaseRoute]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    async def connect(self, request: Request) -> Response:
        """Send a seller's browser to the platform, with a state that is good in it alone."""
        browser = request.cookies.get(self._cookie, "")
        if not _BROWSER.fullmatch(browser):
            browser = new_browser()
        country = request.query_params.get("country", "").lower()
        state = self._states.give(browser, self._now())
        url = self._consent_url(state, country if _COUNTRY.fullmatch(country) else None)
        response = RedirectResponse(url, 303, HEADERS)
        response.set_cookie(
            self._cookie,
            browser,
            max_age=self._max_age + _COOKIE_LONGER,
            secure=self._is_secure,
            httponly=True,
            samesite="lax",
        )
        return response

    def _consent_url(self, state: str | None = None, country: str | None = None) -> str:
        gateway: Any = self._tokens.client.gateway
        if not isinstance(getattr(gateway, "authorize_url", None), str):
            msg = f"{type(gateway).__name__} has no authorize_url, where sellers approve the app"
            raise TypeError(msg)
        return authorize_url(
            self._app, gateway, redirect_uri=self._redirect_uri, state=state, country=country
        )

    async def callback(self, request: Request) -> Response:
        """Trade the code of a seller who comes back, keep the grant, and lead on."""
        if request.method == "HEAD":
            return Response(status_code=405, headers={"allow": "GET"})
        try:
            callback = await self._approval(request)
            token = await self._trade(callback)
        except _Shown as shown:
            return page(request, str(shown), again="connect")
        if self._on_authorized is None:
            return RedirectResponse("connected", 303, HEADERS)
        try:
            leads_to = await call_handler(self._on_authorized, request, token)
        except Exception:  # noqa: BLE001 - of the app; the grant is kept whatever it does
            _log.exception("a seller has authorized, and on_authorized failed; the grant is kept")
            return page(request, "unfinished", again="connect")
        if isinstance(leads_to, Response):
            return leads_to
        return RedirectResponse(leads_to or "connected", 303, HEADERS)

    async def _approval(self, request: Request) -> Callback:
        """What the callback brings, if it belongs to this browser, and comes for the first time."""
        given = request.query_params.get("state", "")
        try:
            state = self._states.read(given, request.cookies.get(self._cookie, ""), self._now())
            callback = parse_callback(f"?{request.url.query}", state=given)
        except StateRefused as refused:
            raise _Shown(str(refused)) from None
        except ValueError:  # half a surrogate pair
            raise _Shown("broken") from None
        except AuthError as error:
            if error.code in _REFUSED_CALLBACKS:
                raise _Shown(_REFUSED_CALLBACKS[error.code]) from None
            _log.info("a seller did not authorize the app: %s", error.code)
            raise _Shown("declined" if error.code == "access_denied" else "failed") from None
        if not await self._used.spend(state.nonce, state.expires_at):
            raise _Shown("used")
        return callback

    async def _trade(self, callback: Callback) -> Token:
        try:
            return await self._tokens.authorize(callback.code)
        except NotPersisted as error:
            _log.critical("%s", error)
            raise _Shown("unavailable") from None
        except AuthError as error:
            _log.warning("the platform took no code of a seller: %s", error)
            raise _Shown("refused") from None
        except IopError as error:
            _log.error("a seller's code could not be traded: %s: %s", type(error).__name__, error)
            raise _Shown("unavailable") from None

    async def connected(self, request: Request) -> Response:
        """The page that says that all went well."""
        return page(request, "connected", again="connect")

    async def push(self, request: Request) -> Response:
        """Verify a message over its raw body, answer, and hand it over after that."""
        headers = request.headers.getlist("authorization")
        try:
            body = await read_body(request, self._max_body)
            message = verify_push(
                self._app, body=body, authorization=headers[0] if len(headers) == 1 else None
            )
        except TooLarge:
            return _plain("too large", 413)
        except TimeoutError:
            return _plain("no end", 408)
        except WebhookSignatureError as error:
            _log.warning("a push was refused: %s", error)
            return _plain("not signed", 401)
        except WebhookMessageError as error:
            _log.warning("a push was refused: %s", error)
            return _plain("no message", 400)
        if not message.is_test and self._inbox.take(message) == "full":
            _log.error("a push was put off: %d messages wait for on_push", self._inbox.waiting)
            return _plain("later", 503)
        # Without a body, which servers that leave TCP_NODELAY off would send 40 ms later.
        return Response()

    async def health(self, _request: Request) -> Response:
        """How the manager is, for a probe."""
        return await health_response(self._tokens, waiting=self._inbox.waiting)


def _plain(text: str, status: int) -> Response:
    return PlainTextResponse(text, status)


def _require_times(**times: object) -> None:
    for name, value in times.items():
        if value is None:
            msg = f"{name} is None; give more than 0"
            raise TypeError(msg)
        require_seconds(name, value)


def _require_counts(**counts: object) -> None:
    for name, value in counts.items():
        require_count(name, value)


def _require_handlers(app_secret: str, **handlers: object) -> None:
    for name, value in handlers.items():
        if value is not None and not callable(value):
            msg = f"{name} is of type {type(value).__name__}; give a function"
            raise TypeError(msg)
    if handlers["on_push"] is not None and not app_secret:
        msg = "the app has no secret, by which pushes are signed; give the App its secret"
        raise ValueError(msg)
