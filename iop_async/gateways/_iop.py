"""The IOP dialect: ``https://host/rest`` + path, or a dotted name through ``https://host/sync``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from attrs import Factory, field, frozen

from .. import _codes
from .._exceptions import IopError
from .._models import App, Call, HttpRequest, HttpResponse, Reply, require_aware
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
    auth_url: str = field(
        default=Factory(lambda self: self.base_url, takes_self=True),
        converter=_addresses.rest_url,
        kw_only=True,
    )
    authorize_url: str = field(
        default=Factory(
            lambda self: f"{_addresses.root(self.base_url)}/oauth/authorize", takes_self=True
        ),
        kw_only=True,
    )
    signer: Signer = field(default=HMAC_SHA256, kw_only=True)
    allow_http: bool = field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        for url in (self.base_url, self.auth_url, self.authorize_url):
            _addresses.require_safe(url, allow_http=self.allow_http)

    def encode(self, app: App, call: Call, *, now: datetime) -> HttpRequest:
        """The signed request; see :class:`~iop_async.protocols.Gateway`.

        Raises:
            TypeError, ValueError: a value that has no agreed text, a parameter that the dialect
                sets itself, a naive ``now``.
        """
        require_aware("now", now)
        params = text_params(call.params, epoch_milliseconds)
        system = self._system_params(app, call, now)
        _bodies.require_disjoint(system, params)
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
        outcome = self._read(call, response)
        if isinstance(outcome, IopError):
            raise outcome
        return outcome

    def _read(self, call: Call, response: HttpResponse) -> Reply | IopError:
        """What came back, as a value: a frame that raises must not hold the answer."""
        secrets = secrets_in(call.params, call.access_token)
        body = _answers.read_json(response, secrets, strict=True)
        if isinstance(body, IopError):
            return body
        error = body.get("error_response")
        if isinstance(error, dict):
            return _answers.refusal(_codes.IOP, error, body, response, secrets)
        root = body if call.is_path else body.get(_answers.wrapper_name(call.api), body)
        if not isinstance(root, dict):
            return _answers.unreadable(response, "a response that is no object", secrets)
        if root is body and _is_error(body, is_path=call.is_path):
            return _answers.refusal(_codes.IOP, body, body, response, secrets)
        if response.status >= 400:
            return _answers.unreadable(response, "no error code in the answer", secrets)
        return _answers.success(root, body, response)


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
