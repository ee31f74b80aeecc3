"""The IOP dialect: ``https://host/rest`` + path, or a dotted name through ``https://host/sync``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from .. import _codes
from .._exceptions import ApiError, SignatureError
from .._models import App, Call, HttpRequest, HttpResponse, Reply
from .._redact import Secret, secrets_in
from ..protocols import Signer
from ..signers import HMAC_SHA256
from . import _addresses, _answers, _bodies
from ._values import epoch_milliseconds, text_params

_TOKEN_APIS: Final = frozenset(
    {
        "/auth/token/create",
        "/auth/token/refresh",
        "/auth/token/security/create",
        "/auth/token/security/refresh",
    }
)


@frozen
class Iop:
    """A gateway of the IOP family.

    Args:
        base_url: ``https://host``, with or without ``/rest``. Plain http is for loopback hosts.
        auth_url: where ``/auth/token/*`` is called, if not there (Lazada).
        authorize_url: the page where a seller approves; ``/oauth/authorize`` of the same host by
            default.
        signer: signs every call.
        allow_http: accept plain http to any host: every token then travels in the clear.

    Calls go out as POST with everything in a form body, or as GET with everything in the query
    where asked and short enough.
    """

    base_url: str = field(converter=_addresses.rest_url)
    auth_url: str = field(kw_only=True)
    authorize_url: str = field(kw_only=True)
    signer: Signer = field(default=HMAC_SHA256, kw_only=True)
    allow_http: bool = field(default=False, kw_only=True)

    @auth_url.default
    def _same_host(self) -> str:
        return self.base_url

    @authorize_url.default
    def _same_host_page(self) -> str:
        return f"{_addresses.root(self.base_url)}/oauth/authorize"

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "auth_url", _addresses.rest_url(self.auth_url))
        for url in (self.base_url, self.auth_url, self.authorize_url):
            _addresses.require_safe(url, allow_http=self.allow_http)

    def encode(self, app: App, call: Call, *, now: datetime) -> HttpRequest:
        """The signed request; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            TypeError, ValueError: a value that has no agreed text, a parameter that the dialect
                sets itself, a naive ``now``.
        """
        params = text_params(call.params, epoch_milliseconds)
        system = self._system_params(app, call, now)
        if taken := (system.keys() | {"sign"}) & params.keys():
            msg = f"the gateway sets {', '.join(sorted(taken))} itself; leave it out of params"
            raise ValueError(msg)
        params |= system
        sign = self.signer.sign(app.secret, call.api if call.is_path else "", params)
        params["sign"] = Secret(sign)
        return _bodies.request(self._url(call), call, query={}, body=params, boundary=sign)

    def _system_params(self, app: App, call: Call, now: datetime) -> dict[str, str]:
        system = {
            "app_key": app.key,
            "timestamp": epoch_milliseconds(now),
            "sign_method": self.signer.sign_method,
        }
        if not call.is_path:
            system |= {"method": call.api, "format": "json"}
        if call.access_token is not None and call.api not in _TOKEN_APIS:
            system["access_token" if call.is_path else "session"] = call.access_token
        if call.simplify is not None:
            system["simplify"] = "true" if call.simplify else "false"
        return system

    def _url(self, call: Call) -> str:
        if not call.is_path:
            return f"{_addresses.root(self.base_url)}/sync"
        return (self.auth_url if call.api in _TOKEN_APIS else self.base_url) + call.api

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        """The reply; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            ApiError: the gateway answered with an error code.
            ProtocolError: the answer is no envelope.
        """
        secrets = secrets_in(call.params, call.access_token)
        body = _answers.read_json(response, secrets, strict=True)
        error = body.get("error_response")
        if isinstance(error, dict):
            raise self._error(error, response, body, secrets)
        root = body
        if not call.is_path:
            root = body.get(f"{call.api.removeprefix('taobao.').replace('.', '_')}_response", body)
            if not isinstance(root, dict):
                raise _answers.unreadable(response, "a response that is no object", secrets)
        if root is body and _is_error(body, is_path=call.is_path):
            raise self._error(body, response, body, secrets)
        if response.status >= 400:
            raise _answers.unreadable(response, "no error code in the answer", secrets)
        return Reply(
            _answers.payload(root),
            body,
            request_id=_answers.text_of(root.get("request_id", body.get("request_id"))),
            failure=_answers.find_failure(root),
            response=response,
        )

    @staticmethod
    def _error(
        error: dict[str, Any], response: HttpResponse, body: dict[str, Any], secrets: set[str]
    ) -> ApiError:
        text = {name: _answers.text_of(value) for name, value in error.items()}
        raised = _codes.api_error(
            _codes.IOP,
            text.get("code") or "",
            text.get("message") or text.get("msg") or "",
            sub_code=text.get("sub_code"),
            sub_message=text.get("sub_msg"),
            type=text.get("type"),
            request_id=text.get("request_id") or _answers.text_of(body.get("request_id")),
            body=body,
            retry_after=_answers.retry_after(response),
            secrets=secrets,
        )
        if isinstance(raised, SignatureError):
            raised.string_to_sign = _answers.string_to_sign(response)
        return raised


def _is_error(body: dict[str, Any], *, is_path: bool) -> bool:
    """A flat answer is an error by its code; without a wrapper, only with a type beside it.

    A simplified answer has its business fields at the top, and ``code`` may be one of them.
    """
    code = _answers.text_of(body.get("code"))
    if code is None or code.strip() in ("", "0"):
        return False
    return is_path or (
        str(body.get("type")).upper() in ("ISV", "ISP", "SYSTEM")
        and ("message" in body or "msg" in body)
    )
